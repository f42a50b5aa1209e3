"""TCP: RFC 9293 and related RFCs. It does not depend on MPTCP."""
