/* The identity file and the mark of a mail root. */

#include "node/super/identity.h"
#include "node/base/buf.h"
#include "node/base/clock.h"
#include "node/base/cursor.h"
#include "node/base/digest.h"
#include "node/base/rng.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { F_PAIR = 1, F_TRUSTED = 2, F_PROVISIONAL = 4, F_MEMBER = 8 };

static const char magic[8] = "DUETIDN1";

void identity_encode(const struct node_identity *id,
		     uint8_t out[IDENTITY_SIZE])
{
	unsigned flags = (id->has ? F_PAIR : 0) |
			 (id->trusted ? F_TRUSTED : 0) |
			 (id->provisional ? F_PROVISIONAL : 0) |
			 (id->member ? F_MEMBER : 0);

	memset(out, 0, IDENTITY_SIZE);
	memcpy(out, magic, 8);
	out[8] = 1;
	out[10] = (uint8_t)flags;
	memcpy(out + 16, id->node_id.b, 16);
	memcpy(out + 32, id->pair_id.b, 16);
	le32_to(out + 56, id->pair_time);
	out[60] = id->index;
	out[61] = (uint8_t)id->n_retired;
	memcpy(out + 64, id->incarnation.b, 16);
	memcpy(out + 96, id->partner_node_id.b, 16);
	memcpy(out + 112, id->partner_incarnation.b, 16);
	for (size_t i = 0; i < id->n_retired; i++)
		memcpy(out + 128 + 16 * i, id->retired[i].b, 16);
	le32_to(out + IDENTITY_SIZE - 4, crc32c(0, out, IDENTITY_SIZE - 4));
}

int identity_decode(struct slice in, struct node_identity *out, struct err *e)
{
	const uint8_t *p = in.p;
	struct node_identity id = {0};
	unsigned flags;

	if (in.n != IDENTITY_SIZE || memcmp(p, magic, 8) != 0)
		return err_set(e, E_CORRUPT, "not an identity file");
	if (le32_at(p + IDENTITY_SIZE - 4) != crc32c(0, p, IDENTITY_SIZE - 4))
		return err_set(e, E_CORRUPT, "identity: checksum is wrong");
	if (p[8] != 1 || p[9] != 0)
		return err_set(e, E_VERSION, "identity has format %u, this "
			       "build knows 1", p[8] | p[9] << 8);
	flags = p[10];
	if (p[60] > 1 || p[61] > IDENTITY_RETIRED_MAX)
		return err_set(e, E_CORRUPT, "identity: index or list of "
			       "incarnations is impossible");
	memcpy(id.node_id.b, p + 16, 16);
	memcpy(id.pair_id.b, p + 32, 16);
	id.pair_time = le32_at(p + 56);
	id.index = p[60];
	id.n_retired = p[61];
	memcpy(id.incarnation.b, p + 64, 16);
	memcpy(id.partner_node_id.b, p + 96, 16);
	memcpy(id.partner_incarnation.b, p + 112, 16);
	for (size_t i = 0; i < id.n_retired; i++)
		memcpy(id.retired[i].b, p + 128 + 16 * i, 16);
	id.has = flags & F_PAIR;
	id.trusted = flags & F_TRUSTED;
	id.provisional = flags & F_PROVISIONAL;
	id.member = flags & F_MEMBER;
	*out = id;
	return 0;
}

void identity_new_node(struct node_identity *id, const struct sys *sys)
{
	memset(id, 0, sizeof(*id));
	sys->rng->bytes(sys->rng, id->node_id.b, 16);
	sys->rng->bytes(sys->rng, id->incarnation.b, 16);
}

void identity_new_pair(struct node_identity *id, const struct sys *sys,
		       bool provisional)
{
	sys->rng->bytes(sys->rng, id->pair_id.b, 16);
	id->pair_time = (uint32_t)(clock_real(sys->clock) / USEC_PER_SEC);
	id->index = 0;
	id->has = true;
	id->trusted = true;
	id->provisional = provisional;
	id->member = false;
}

static char *path_in(const char *dir, const char *name)
{
	return xprintf("%s/%s", dir, name);
}

int identity_read(const struct sys *sys, const char *dir, struct node_identity *out,
		  struct err *e)
{
	char *path = path_in(dir, "identity");
	struct buf b;
	int r;

	buf_init(&b, 4096);
	r = fsio_read_file(sys->fs, path, 4096, &b);
	if (r >= 0) {
		r = identity_decode(buf_all(&b), out, e);
		if (r < 0)
			err_prefix(e, "%s", path);
	} else if (r != -ENOENT) {
		err_set(e, r, "%s: cannot be read: %s", path, strerror(-r));
	}
	buf_fini(&b);
	free(path);
	return r < 0 ? r : 0;
}

int identity_write(const struct sys *sys, const char *dir,
		   const struct node_identity *id, struct err *e)
{
	char *path = path_in(dir, "identity");
	uint8_t bytes[IDENTITY_SIZE];
	int r;

	identity_encode(id, bytes);
	r = fsio_replace_file(sys->fs, path, slice_of(bytes, sizeof(bytes)),
			      0600);
	if (r < 0)
		err_set(e, r, "%s: cannot be written: %s", path, strerror(-r));
	free(path);
	return r < 0 ? r : 0;
}

/* pair forget-peer: the partner's disk is among those written off. */
static bool retired(const struct node_identity *to,
		    const struct node_identity *from)
{
	for (size_t i = 0; i < to->n_retired; i++)
		if (id128_eq(to->retired[i], from->partner_incarnation))
			return true;
	return false;
}

int identity_check_change(const struct node_identity *from,
			  const struct node_identity *to, struct err *e)
{
	if (!id128_eq(from->node_id, to->node_id) ||
	    !id128_eq(from->incarnation, to->incarnation))
		return err_set(e, E_INVALID, "sync wants to change this node's "
			       "own id or incarnation");
	if (from->has && !from->provisional &&
	    (!to->has || from->index != to->index ||
	     from->pair_time != to->pair_time ||
	     !id128_eq(from->pair_id, to->pair_id)))
		return err_set(e, E_INVALID, "sync wants to change the pair "
			       "this node belongs to");
	if (from->member && !to->member && !retired(to, from))
		return err_set(e, E_INVALID, "sync wants to forget the partner "
			       "without writing its disk off");
	return 0;
}
