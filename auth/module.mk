# Sources of auth, in the order of reading.
auth_SRC :=
