# Sources of proto, in the order of reading.
proto_SRC :=
