"""TCP: RFC 9293 and its companions.  It knows nothing of MPTCP."""
