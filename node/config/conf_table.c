/* Finding rows, blocks, built-in services, and the name meant by a typo. */

#include "node/config/conf_table.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"

#include <ctype.h>

static const struct {
	const struct conf_row *rows;
	const size_t *n;
} tables[] = {
#define CONF_ROWS_ENTRY(x) {conf_rows_##x, &conf_rows_##x##_n},
	CONF_ROWS(CONF_ROWS_ENTRY)
#undef CONF_ROWS_ENTRY
};

static const struct conf_block blocks[] = {
	{"service", CONF_NAMED, "name"},
	{"service/*/unix_listener", CONF_NAMED, "path"},
	{"service/*/fifo_listener", CONF_NAMED, "path"},
	{"service/*/inet_listener", CONF_NAMED, "name"},
	{"namespace", CONF_NAMED, "name"},
	{"namespace/*/mailbox", CONF_NAMED, "name"},
	{"passdb", CONF_NEW, "name"},
	{"userdb", CONF_NEW, "name"},
	{"plugin", CONF_FREE, NULL},
	{"dict", CONF_FREE, NULL},
	{"metric", CONF_NAMED, "name"},
	{"event_exporter", CONF_NAMED, "name"},
};

static const struct {
	const char *name;
	unsigned mask;
} modules[] = {
	{"auth", CONF_M_AUTH},
	{"master", CONF_M_MASTER},
	{"imap-login", CONF_M_LOGIN | CONF_M_IMAP_LOGIN},
	{"pop3-login", CONF_M_LOGIN},
	{"managesieve-login", CONF_M_LOGIN | CONF_M_MANAGESIEVE},
	{"submission-login", CONF_M_LOGIN | CONF_M_SUBMISSION_LOGIN},
	{"imap-urlauth-login", CONF_M_LOGIN},
	{"login", CONF_M_LOGIN},
	{"mail", CONF_M_MAIL},
	{"imap", CONF_M_MAIL | CONF_M_IMAP},
	{"pop3", CONF_M_MAIL | CONF_M_POP3},
	{"lmtp", CONF_M_MAIL | CONF_M_LMTP},
	{"lda", CONF_M_MAIL | CONF_M_LDA},
	{"managesieve", CONF_M_MAIL | CONF_M_MANAGESIEVE},
	{"submission", CONF_M_MAIL | CONF_M_SUBMISSION},
	{"imap-urlauth", CONF_M_URLAUTH},
	{"imap-urlauth-worker", CONF_M_MAIL | CONF_M_URLAUTH},
	{"doveadm", CONF_M_MAIL | CONF_M_DOVEADM},
	{"replicator", CONF_M_REPLICATOR},
	{"aggregator", CONF_M_AGGREGATOR},
	{"director", CONF_M_DIRECTOR},
	{"stats", CONF_M_STATS},
	{"dict", CONF_M_DICT},
	{"ssl", CONF_M_SSL},
	{"maildir", CONF_M_MAILDIR},
	{"mbox", CONF_M_MBOX},
	{"mdbox", CONF_M_MDBOX},
	{"imapc", CONF_M_IMAPC},
	{"pop3c", CONF_M_POP3C},
	{"pair", CONF_M_PAIR},
};

const char *conf_area_name(unsigned area)
{
	static const char *const names[] = {"pair", "heal", "protocols",
					    "accounts", "sieve"};

	return area >= 1 && area <= ARRAY_LEN(names) ? names[area - 1] : "later";
}

unsigned conf_module_mask(const char *module)
{
	for (size_t i = 0; i < ARRAY_LEN(modules); i++)
		if (strcmp(modules[i].name, module) == 0)
			return modules[i].mask | CONF_M_GLOBAL;
	return CONF_M_GLOBAL;
}

const struct conf_row *conf_row_at(size_t i)
{
	for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
		if (i < *tables[t].n)
			return &tables[t].rows[i];
		i -= *tables[t].n;
	}
	return NULL;
}

static const char *comp_end(const char *p)
{
	const char *slash = strchr(p, '/');

	return slash ? slash : p + strlen(p);
}

/* Component by component; a lone "*" in the pattern stands for any one, a
 * trailing "*" for the rest of a component. */
static bool path_matches(const char *pattern, const char *path)
{
	while (*pattern && *path) {
		const char *pe = comp_end(pattern), *e = comp_end(path);
		size_t pn = (size_t)(pe - pattern), n = (size_t)(e - path);

		if (pn > 0 && pattern[pn - 1] == '*') {
			if (n < pn - 1 || memcmp(pattern, path, pn - 1) != 0)
				return false;
		} else if (pn != n || memcmp(pattern, path, n) != 0) {
			return false;
		}
		if (!*pe || !*e)
			return !*pe && !*e;
		pattern = pe + 1;
		path = e + 1;
	}
	return !*pattern && !*path;
}

const struct conf_row *conf_row_find(const char *path)
{
	bool deep = strchr(path, '/') != NULL;

	for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
		for (size_t i = 0; i < *tables[t].n; i++) {
			const struct conf_row *r = &tables[t].rows[i];

			if (r->name[0] != path[0] && r->name[0] != '*')
				continue;
			if (deep ? path_matches(r->name, path)
				 : strcmp(r->name, path) == 0)
				return r;
		}
	}
	return NULL;
}

const struct conf_block *conf_block_find(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
		if (path_matches(blocks[i].path, path))
			return &blocks[i];
	return NULL;
}

/* ---- typos ------------------------------------------------------------- */

#define WORD_MAX 48

static unsigned distance(const char *a, size_t an, const char *b, size_t bn)
{
	unsigned row[WORD_MAX + 1];

	if (an > WORD_MAX || bn > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= bn; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= an; i++) {
		unsigned diag = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= bn; j++) {
			unsigned cost = diag + (a[i - 1] != b[j - 1]);

			diag = row[j];
			if (row[j] + 1 < cost)
				cost = row[j] + 1;
			if (row[j - 1] + 1 < cost)
				cost = row[j - 1] + 1;
			row[j] = cost;
		}
	}
	return row[bn];
}

/* 0 … 1000: how alike two words are. */
static unsigned alike(const char *a, size_t an, const char *b, size_t bn)
{
	size_t longer = an > bn ? an : bn;
	unsigned d = distance(a, an, b, bn);

	if (longer == 0 || d >= longer)
		return 0;
	return (unsigned)(1000 * (longer - d) / longer);
}

static size_t words(const char *s, const char **p, size_t *n, size_t max)
{
	size_t k = 0;

	while (*s && k < max) {
		size_t len = strcspn(s, "_");

		p[k] = s;
		n[k++] = len;
		s += len;
		s += *s == '_';
	}
	return k;
}

/* Words may stand in another order: each takes its best partner.  So
 * "premier_uid_valide" finds first_valid_uid. */
static unsigned alike_by_words(const char *a, const char *b)
{
	const char *ap[8], *bp[8];
	size_t an[8], bn[8];
	size_t ka = words(a, ap, an, 8), kb = words(b, bp, bn, 8);
	unsigned used = 0, sum = 0;

	for (size_t i = 0; i < ka; i++) {
		unsigned best = 0;
		size_t who = 8;

		for (size_t j = 0; j < kb; j++) {
			unsigned s = alike(ap[i], an[i], bp[j], bn[j]);

			if (!(used & (1u << j)) && s > best) {
				best = s;
				who = j;
			}
		}
		if (best >= 250) {
			used |= 1u << who;
			sum += best;
		}
	}
	return (unsigned)(sum / (ka > kb ? ka : kb));
}

/* Does the row stand directly in the same block as path? */
static bool same_block(const char *pattern, const char *path)
{
	const char *a = strrchr(pattern, '/'), *b = strrchr(path, '/');
	AUTO_FREE char *x = NULL;
	AUTO_FREE char *y = NULL;

	if (!a || !b)
		return !a && !b;
	x = xstrndup(pattern, (size_t)(a - pattern));
	y = xstrndup(path, (size_t)(b - path));
	return path_matches(x, y);
}

static const char *last_comp(const char *path)
{
	const char *s = strrchr(path, '/');

	return s ? s + 1 : path;
}

const char *conf_row_nearest(const char *path)
{
	const struct conf_row *r;
	const char *best = NULL, *want = last_comp(path);
	unsigned best_score = 0;

	if (strlen(want) > WORD_MAX || !*want)
		return NULL;
	for (size_t i = 0; (r = conf_row_at(i)) != NULL; i++) {
		const char *name = last_comp(r->name);
		unsigned s, w;

		if (r->flags & (CONF_F_ANY | CONF_F_BLOCK | CONF_F_HIDDEN))
			continue;
		if (!same_block(r->name, path) || strchr(name, '*'))
			continue;
		s = alike(want, strlen(want), name, strlen(name));
		w = alike_by_words(want, name);
		if (w > s)
			s = w;
		if (s > best_score) {
			best_score = s;
			best = name;
		}
	}
	return best_score >= 600 ? best : NULL;
}

/* ---- services ---------------------------------------------------------- */

const struct conf_service *conf_service_find(const char *name)
{
	for (size_t i = 0; i < conf_services_n; i++)
		if (strcmp(conf_services[i].name, name) == 0)
			return &conf_services[i];
	return NULL;
}

static const char *service_value(const struct conf_service *s, const char *key)
{
	const struct {
		const char *key, *value;
	} t[] = {
		{"name", s->name},
		{"protocol", s->protocol},
		{"type", s->type},
		{"executable", s->executable},
		{"user", s->user},
		{"chroot", s->chroot},
		{"extra_groups", s->extra_groups},
		{"client_limit", s->client_limit},
		{"process_limit", s->process_limit},
		{"process_min_avail", s->process_min_avail},
		{"service_count", s->service_count},
		{"idle_kill", s->idle_kill},
		{"drop_priv_before_exec", s->drop_priv ? "yes" : NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		if (strcmp(t[i].key, key) == 0)
			return t[i].value;
	return NULL;
}

static const char *listener_value(const struct conf_service_listener *l,
				  const char *key)
{
	if (strcmp(key, "mode") == 0)
		return l->mode;
	if (strcmp(key, "user") == 0)
		return l->user;
	if (strcmp(key, "group") == 0)
		return l->group;
	if (strcmp(key, "port") == 0)
		return l->port;
	if (strcmp(key, "ssl") == 0)
		return l->ssl ? "yes" : NULL;
	return NULL;
}

const char *conf_service_default(const char *path)
{
	const struct conf_service *s;
	const char *name, *rest, *lis, *key;
	AUTO_FREE char *copy = NULL;
	AUTO_FREE char *esc = NULL;
	struct buf b;

	if (strncmp(path, "service/", 8) != 0)
		return NULL;
	name = path + 8;
	rest = comp_end(name);
	if (!*rest)
		return NULL;
	copy = xstrndup(name, (size_t)(rest - name));
	s = conf_service_find(copy);
	if (!s)
		return NULL;
	lis = strchr(rest + 1, '/');
	if (!lis)
		return service_value(s, rest + 1);
	key = strchr(lis + 1, '/');
	if (!key || !s->listeners)
		return NULL;
	for (const struct conf_service_listener *l = s->listeners; l->kind;
	     l++) {
		bool same;

		if (l->kind != rest[1])
			continue;
		buf_init(&b, 4096);
		conf_path_add(&b, l->name);
		same = b.n == (size_t)(key - lis - 1) &&
		       memcmp(b.p, lis + 1, b.n) == 0;
		buf_fini(&b);
		if (same)
			return listener_value(l, key + 1);
	}
	return NULL;
}

/* ---- paths ------------------------------------------------------------- */

void conf_path_add(struct buf *b, const char *name)
{
	if (*name && name[strspn(name, "0123456789")] == '\0')
		buf_str(b, "\\d");	/* unnamed blocks are plain numbers */
	for (; *name; name++) {
		if (*name == '/')
			buf_str(b, "\\s");
		else if (*name == ' ')
			buf_str(b, "\\_");
		else if (*name == '\\')
			buf_str(b, "\\\\");
		else
			buf_char(b, (uint8_t)*name);
	}
}

char *conf_path_unescape(struct arena *a, const char *comp, size_t n)
{
	char *out = arena_alloc(a, n + 1), *to = out;

	for (size_t i = 0; i < n; i++) {
		if (comp[i] != '\\' || i + 1 == n) {
			*to++ = comp[i];
			continue;
		}
		i++;
		if (comp[i] == 's')
			*to++ = '/';
		else if (comp[i] == '_')
			*to++ = ' ';
		else if (comp[i] == '\\')
			*to++ = '\\';
	}
	*to = '\0';
	return out;
}

static bool digits(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isdigit((unsigned char)p[i]))
			return false;
	return n > 0;
}

int conf_path_cmp(const char *a, const char *b)
{
	for (;;) {
		const char *ae = comp_end(a), *be = comp_end(b);
		size_t an = (size_t)(ae - a), bn = (size_t)(be - b);
		int c;

		if (digits(a, an) && digits(b, bn) && an != bn)
			return an < bn ? -1 : 1;
		/* As text with its '/', so that "auth-worker/" comes before
		 * "auth/". */
		c = memcmp(a, b, an < bn ? an : bn);
		if (c)
			return c;
		if (an != bn) {
			unsigned char x = an < bn ? (unsigned char)*ae
						  : (unsigned char)a[bn];
			unsigned char y = an < bn ? (unsigned char)b[an]
						  : (unsigned char)*be;

			return x < y ? -1 : 1;
		}
		if (!*ae || !*be)
			return (*ae != '\0') - (*be != '\0');
		a = ae + 1;
		b = be + 1;
	}
}
