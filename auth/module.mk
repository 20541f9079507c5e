# Sources of auth, in the order of reading.
auth_SRC := \
	auth/scheme.c \
	auth/scheme_crypt.c \
	auth/scheme_digest.c \
	auth/pw.c
