#ifndef DUET_PROTO_IPC_MSG_H
#define DUET_PROTO_IPC_MSG_H

/*
 * What the roles of one node say to each other.  The envelope is
 * node/base/ipc.h; the head is one struct for all types (proto/ipc.proto,
 * package duet.ipc), of which each type uses what stands beside it below.
 * Unused texts are "", unused numbers 0.
 *
 * Types 0x100 … 0x1ff are those of proto/link.h.
 *
 * `stream` names the request; an answer carries the stream of its question.
 */

#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/err.h"
#include "node/base/slice.h"

#define IPC_FIELDS_MAX 512	/* fields, recipients, args of one head */

enum ipc_role { ROLE_SUPER, ROLE_FRONT, ROLE_AUTH, ROLE_STORE, ROLE_SYNC,
		ROLE_N };

/* "front", …; -1 for an unknown word. */
const char *ipc_role_name(enum ipc_role r);
int ipc_role_of(const char *name);

enum ipc_type {
	/* --- supervisor → child --------------------------------------- */
	/* fd: a memory file with conf_encode() bytes.  value: 1 at a reload.
	 * Answered by CONFIG_OK or CONFIG_BAD (text); in force at COMMIT. */
	IPC_CONFIG = 1,
	IPC_COMMIT,
	IPC_ABORT,
	/* fd: a channel to role, index, in place of an older one. */
	IPC_PEER,
	/* fd: a listening socket; value: its number; code: enum conf_purpose;
	 * name, service; flags: LISTEN_TLS. */
	IPC_LISTEN,
	IPC_UNLISTEN,		/* value */
	IPC_GO,			/* all peers and listeners are there */
	IPC_PING,		/* answered by PONG with the same seq */
	IPC_REOPEN,		/* log files; fd if they are passed */
	IPC_IDENTITY,		/* data: identity_encode() */
	IPC_STOP,		/* flags: STOP_*; answered by STOPPED */
	/* fd: an admin connection whose 16-byte head has been read; data:
	 * that head; flags: ADMIN_*.  Also sync → store, for an administrator
	 * who is at the partner. */
	IPC_ADMIN,
	/* Answer to READ: code 1 and fd, 0 (unchanged), or negative and
	 * text; data: struct auth_stamp. */
	IPC_FILE,
	IPC_RESIGN,		/* to sync: store process `index` is dead;
				 * value: 1 = it will be restarted */

	/* --- child → supervisor --------------------------------------- */
	IPC_CONFIG_OK = 100,
	IPC_CONFIG_BAD,		/* text */
	IPC_READY,		/* serving */
	IPC_PONG,
	IPC_STOPPED,
	IPC_FATAL,		/* text: the process ends by itself */
	IPC_IDENTITY_WRITE,	/* data; answered by IDENTITY */
	IPC_READ,		/* name: path; data: struct auth_stamp */
	IPC_STATUS,		/* text: for sd_notify STATUS= (sync) */
	/* sync asks, auth answers, the supervisor carries.  name: host; the
	 * answer has addresses in args, or text. */
	IPC_RESOLVE,
	IPC_RESOLVED,

	/* --- front, store → auth -------------------------------------- */
	/* mech; data with flags AUTH_INITIAL; the peer: service, rip, lip,
	 * rport, lport, session, flags AUTH_SECURED.  flags AUTH_USERDB:
	 * after success the userdb is asked too. */
	IPC_AUTH_SASL = 200,
	IPC_AUTH_ANSWER,	/* data */
	IPC_AUTH_CANCEL,
	IPC_AUTH_PASSWORD,	/* login, data: password; flags AUTH_USERDB */
	IPC_AUTH_USERDB_GET,	/* login */
	IPC_AUTH_NAMES,		/* list all */
	/* answers */
	IPC_AUTH_CHALLENGE,	/* data */
	/* code: enum auth_verdict; user, login, mech, home, fields; text,
	 * client; value, value2: uid, gid.  AUTH_FROM_USERDB in flags. */
	IPC_AUTH_RESULT,
	IPC_AUTH_NAMES_PART,	/* args */
	IPC_AUTH_NAMES_END,	/* code, text */

	/* --- front → store, front → sync, sync → store ---------------- */
	/* A session wants in.  user, home, fields, service, session, tag,
	 * rip …; login: as typed; flags LOGIN_*; id: account id (to sync). */
	IPC_LOGIN_ASK = 0x200,
	IPC_LOGIN_CANCEL,
	/* fd: the client (bare, or a pair's end); body: what it already
	 * sent.  Only after LOGIN_SERVE. */
	IPC_LOGIN_FD,
	/* A session of which the front knows that it ended (proxied). */
	IPC_LOGIN_GONE,
	/* answers */
	IPC_LOGIN_SERVE,	/* value: pid of the process */
	IPC_LOGIN_PROXY,	/* ask sync; data: our position */
	IPC_LOGIN_REFUSE,	/* code, text, client */
	IPC_LOGIN_ENDED,	/* the session is over */

	/* --- front → store, store → store: deliveries ------------------ */
	/* sender, rcpts, session, rip, name: LHLO name, mech: "LMTP" or
	 * "LMTPS"; value: SIZE=; data: own Received line without recipient.
	 * text: ENVID or XFORWARD IDENT. */
	IPC_DELIVER = 0x220,
	IPC_DELIVER_DATA,	/* body; at most the credit */
	IPC_DELIVER_END,
	IPC_DELIVER_CANCEL,
	IPC_DELIVER_SEEN,	/* the MTA has read the replies */
	/* The same to a sibling with the message whole: body, or fd and
	 * value: its size. */
	IPC_DELIVER_WHOLE,
	/* answers */
	IPC_DELIVER_CREDIT,	/* value: further bytes that may be sent */
	/* index: of the recipient; text: "250 2.0.0 <a> ID Saved" */
	IPC_DELIVER_REPLY,

	/* --- store ↔ sync: the messages of proto/link.h as they are, types
	 * 0x100 … 0x1ff; and LOGIN_* of sessions whose client is at the
	 * partner. */

	IPC_STORE_OPEN = 0x230,	/* store → sync: its accounts can be reached */
	IPC_STORE_SHUT,

	/* --- admin connections (duetadm ↔ role) ------------------------ */
	IPC_ADM_REQUEST = 0x240,	/* name: command, args, fields: options */
	IPC_ADM_ROW,		/* args: one row; fields: named values */
	IPC_ADM_TEXT,		/* text: one line for people */
	IPC_ADM_END,		/* code: exit status, text: why not 0 */
};

enum { LISTEN_TLS = 1 };
enum { STOP_HAND_OVER = 1, STOP_NOW = 2, STOP_ACCEPT = 4 };
enum { ADMIN_REPLICATOR = 1, ADMIN_FROM_PARTNER = 2 };
enum { AUTH_INITIAL = 1, AUTH_SECURED = 2, AUTH_USERDB = 4,
       AUTH_FROM_USERDB = 8, AUTH_AUTHENTICATED = 16 };
enum { LOGIN_SECURED = 1, LOGIN_TLS = 2, LOGIN_FROM_PARTNER = 4,
       LOGIN_RELAYED = 8 };

struct ipc_field {
	const char *name, *value;
};

struct ipc_rcpt {
	uint32_t index;
	const char *address;	/* as the MTA wrote it */
	const char *user;	/* canonical */
	const char *home;
	const char *detail;	/* "" = none */
	const struct ipc_field *fields;
	size_t n_fields;
};

struct ipc_head {
	uint32_t role, index, flags;
	int32_t code;
	uint64_t value, value2;
	const char *user, *login, *home, *service, *session, *tag, *mech;
	const char *rip, *lip;
	uint32_t rport, lport;
	const char *name, *text, *client, *sender;
	struct slice id, data;
	const struct ipc_field *fields;
	size_t n_fields;
	const struct ipc_rcpt *rcpts;
	size_t n_rcpts;
	const char *const *args;
	size_t n_args;
};

/* Appends.  NULL texts count as "". */
void ipc_head_encode(const struct ipc_head *h, struct buf *to);
/* Texts lie in the arena; id and data point there too.  E_PROTO. */
int ipc_head_decode(struct slice in, struct arena *a, struct ipc_head *out,
		    struct err *e);

struct ipc;
/* Encodes and sends.  body and fd as in ipc_send(). */
int ipc_say(struct ipc *c, enum ipc_type type, uint64_t stream,
	    const struct ipc_head *h, struct slice body, int fd);
/* Without head, body and descriptor. */
int ipc_note(struct ipc *c, enum ipc_type type, uint64_t stream);
/* NULL if there is no such field. */
const char *ipc_field_get(const struct ipc_head *h, const char *name);

/* Before anything else on the admin socket, 16 bytes:
 *  0 magic u32 "DADM"   4 version u8 = 1   5 role u8   6 index u16
 *  8 key u64            little-endian
 * index ADMIN_BY_KEY: the store process of the account whose id begins with
 * these 8 bytes.  ADMIN_AT_PARTNER in the role: that role of the partner, by
 * this node's sync; only store and sync answer there. */
#define ADMIN_HEAD_SIZE 16
#define ADMIN_MAGIC 0x4d444144u
#define ADMIN_BY_KEY 0xffffu
#define ADMIN_AT_PARTNER 0x80u

struct admin_head {
	bool partner;
	uint8_t role;
	uint16_t index;
	uint64_t key;
};
void admin_head_put(const struct admin_head *h, uint8_t to[ADMIN_HEAD_SIZE]);
int admin_head_get(const uint8_t from[ADMIN_HEAD_SIZE], struct admin_head *h);

#endif
