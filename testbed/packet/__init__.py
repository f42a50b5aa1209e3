"""The codec: IP, TCP, TCP options and MPTCP options as values and as octets.

``parse(emit(x)) == x`` holds for each value. Unknown options are kept as values.
"""
