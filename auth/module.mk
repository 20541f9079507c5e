# Sources of auth, in the order of reading.
auth_SRC := \
	auth/auth.c \
	auth/auth_lookup.c \
	auth/auth_uid.c \
	auth/auth_pool.c \
	auth/auth_env.c \
	auth/fields.c \
	auth/sasl.c \
	auth/auth_db.c \
	auth/passdb.c \
	auth/passdb_passwd_file.c \
	auth/passdb_static.c \
	auth/userdb.c \
	auth/userdb_passwd_file.c \
	auth/userdb_static.c \
	auth/passwd_file.c \
	auth/passwd_text.c \
	auth/reader.c \
	auth/scheme.c \
	auth/scheme_crypt.c \
	auth/scheme_digest.c \
	auth/pw.c
auth_SRC += auth/auth_client.c
