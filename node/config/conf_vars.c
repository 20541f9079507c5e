/* %variables: parsing, modifiers, values.  Conditions are in conf_if.c. */

#include "node/config/conf_vars.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/digest.h"
#include "node/config/conf_vars_int.h"

#include <ctype.h>
#include <stdio.h>
#include <unistd.h>

#define WIDTH_MAX 4096		/* characters that a width may ask for */

/* One variable as written: %[-][0][OFFSET.][WIDTH][MODIFIERS]name */
struct var {
	bool zero_pad;
	long offset, width;
	bool has_width;
	char mods[8];
	size_t n_mods;
	char letter;		/* 0: long name */
	struct slice name;
};

/* ---- parsing ----------------------------------------------------------- */

static bool is_mod(char c)
{
	return c != '\0' && strchr("LUEXRNHMDT", c) != NULL;
}

static const char *number(const char *p, long *out)
{
	long n = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		n = n < WIDTH_MAX * 1000L ? n * 10 + (*p - '0') : n;
	*out = n;
	return p;
}

/* The brace that closes the one before p, or NULL. */
static const char *closing(const char *p)
{
	unsigned depth = 1;

	for (; *p; p++) {
		if (*p == '{')
			depth++;
		else if (*p == '}' && --depth == 0)
			return p;
	}
	return NULL;
}

/* p: behind the '%'.  Gives what follows the variable, or NULL. */
static const char *parse_var(const char *p, struct var *v, struct err *e)
{
	bool negative = false;

	*v = (struct var){.letter = 0};
	if (*p == '-') {
		negative = true;
		p++;
	}
	if (*p == '0' && p[1] != '.') {
		v->zero_pad = true;
		p++;
	}
	if (isdigit((unsigned char)*p)) {
		p = number(p, &v->width);
		v->has_width = true;
	}
	if (*p == '.') {
		v->offset = negative ? -v->width : v->width;
		p = number(p + 1, &v->width);
		v->has_width = true;
	}
	while (is_mod(*p) && v->n_mods < sizeof(v->mods))
		v->mods[v->n_mods++] = *p++;
	if (*p == '{') {
		const char *end = closing(p + 1);

		if (!end) {
			err_set(e, E_CONFIG, "missing '}' of a variable in %s",
				p);
			return NULL;
		}
		v->name = slice_of(p + 1, (size_t)(end - p - 1));
		return end + 1;
	}
	if (!*p) {
		err_set(e, E_CONFIG, "'%%' at the end (write %%%% for a percent "
				     "sign)");
		return NULL;
	}
	v->letter = *p;
	return p + 1;
}

/* ---- values ------------------------------------------------------------ */

static const struct {
	char letter;
	const char *name;
} names[] = {
	{'u', "user"},	    {'n', "username"},	 {'d', "domain"},
	{'h', "home"},	    {'s', "service"},	 {'i', "uid"},
	{'p', "pid"},	    {'l', "lip"},	 {'r', "rip"},
	{'a', "lport"},	    {'b', "rport"},	 {0, "session"},
	{0, "hostname"},    {0, "local_ip"},	 {0, "remote_ip"},
	{0, "local_port"},  {0, "remote_port"},	 {0, "protocol"},
};

static char *from_user(struct arena *a, const char *user, char what)
{
	const char *at = user ? strchr(user, '@') : NULL;

	if (!user)
		return NULL;
	if (what == 'u')
		return arena_strdup(a, user);
	if (what == 'n')
		return at ? arena_strndup(a, user, (size_t)(at - user))
			  : arena_strdup(a, user);
	return arena_strdup(a, at ? at + 1 : "");
}

static char *host_name(struct arena *a)
{
	char host[256];

	if (gethostname(host, sizeof(host)) < 0)
		return arena_strdup(a, "localhost");
	host[sizeof(host) - 1] = '\0';
	return arena_strdup(a, host);
}

static char *port_text(struct arena *a, unsigned port)
{
	return port ? arena_printf(a, "%u", port) : NULL;
}

static bool is_name(const struct var *v, char letter, const char *name)
{
	if (v->letter)
		return letter && v->letter == letter;
	return name && slice_is(v->name, name);
}

/* Which of the built-in names is it?  NULL: none. */
static const char *builtin_name(const struct var *v)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (is_name(v, names[i].letter, names[i].name))
			return names[i].name;
	return NULL;
}

static char *builtin_value(const char *name, const struct conf_vars *x,
			   struct arena *a)
{
	if (strcmp(name, "user") == 0)
		return from_user(a, x->user, 'u');
	if (strcmp(name, "username") == 0)
		return from_user(a, x->user, 'n');
	if (strcmp(name, "domain") == 0)
		return from_user(a, x->user, 'd');
	if (strcmp(name, "home") == 0)
		return x->home ? arena_strdup(a, x->home) : NULL;
	if (strcmp(name, "service") == 0 || strcmp(name, "protocol") == 0)
		return x->service ? arena_strdup(a, x->service) : NULL;
	if (strcmp(name, "uid") == 0)
		return x->uid == (unsigned)-1 ? NULL
					      : arena_printf(a, "%u", x->uid);
	if (strcmp(name, "pid") == 0)
		return arena_printf(a, "%ld", (long)getpid());
	if (strcmp(name, "lip") == 0 || strcmp(name, "local_ip") == 0)
		return x->lip ? arena_strdup(a, x->lip) : NULL;
	if (strcmp(name, "rip") == 0 || strcmp(name, "remote_ip") == 0)
		return x->rip ? arena_strdup(a, x->rip) : NULL;
	if (strcmp(name, "lport") == 0 || strcmp(name, "local_port") == 0)
		return port_text(a, x->lport);
	if (strcmp(name, "rport") == 0 || strcmp(name, "remote_port") == 0)
		return port_text(a, x->rport);
	if (strcmp(name, "session") == 0)
		return x->session ? arena_strdup(a, x->session) : NULL;
	return x->hostname ? arena_strdup(a, x->hostname) : host_name(a);
}

/* %{kind:name} */
static int colon_value(struct expansion *x, struct slice name, size_t colon,
		       char **out)
{
	char *kind = arena_strndup(x->arena, name.p, colon);
	char *arg = arena_strndup(x->arena, name.p + colon + 1,
				  name.n - colon - 1);
	const char *v;

	if (strcmp(kind, "env") == 0) {
		v = getenv(arg);
		*out = arena_strdup(x->arena, v ? v : "");
		return 0;
	}
	if (strcmp(kind, "md5") == 0 || strcmp(kind, "sha256") == 0) {
		struct var inner = {.name = slice_str(arg)};
		const char *b = builtin_name(&inner);
		char *text = b ? builtin_value(b, x->v, x->arena) : NULL;
		char hex[2 * SHA256_SIZE + 1];
		uint8_t sum[SHA256_SIZE];

		if (!b)
			return err_set(x->e, E_CONFIG,
				       "Unknown variable '%%%s'", arg);
		if (kind[0] == 'm') {
			conf_md5(slice_str(text), sum);
			hex_of(sum, 16, hex);
		} else {
			sha256(slice_str(text), sum);
			hex_of(sum, SHA256_SIZE, hex);
		}
		*out = arena_strdup(x->arena, hex);
		return 0;
	}
	if (strcmp(kind, "userdb") == 0 || strcmp(kind, "passdb") == 0 ||
	    strcmp(kind, "auth") == 0 || strcmp(kind, "ldap") == 0) {
		/* NAME:DEFAULT */
		char *def = strchr(arg, ':');

		if (def)
			*def++ = '\0';
		v = x->v->field ? x->v->field(x->v->arg, kind, arg) : NULL;
		*out = arena_strdup(x->arena, v ? v : def ? def : "");
		return 0;
	}
	return err_set(x->e, E_CONFIG,
		       "Unknown variable '%%{%s:%s}' (known: env, userdb, "
		       "passdb, md5, sha256)",
		       kind, arg);
}

/* is_path: the value is a home, which may hold slashes. */
static int find_value(struct expansion *x, const struct var *v, char **out,
		      bool *is_path)
{
	const char *name;
	ptrdiff_t colon;

	*is_path = false;
	for (size_t i = 0; i < x->v->n_extra; i++) {
		const struct conf_var *y = &x->v->extra[i];

		if (is_name(v, y->letter, y->name)) {
			*out = y->value ? arena_strdup(x->arena, y->value)
					: NULL;
			return 0;
		}
	}
	if (!v->letter && v->name.n > 3 && memcmp(v->name.p, "if;", 3) == 0) {
		*is_path = true;	/* its parts have been checked */
		return conf_if(x, slice_sub(v->name, 3, v->name.n), out);
	}
	name = builtin_name(v);
	if (name) {
		*out = builtin_value(name, x->v, x->arena);
		*is_path = strcmp(name, "home") == 0;
		return 0;
	}
	if (!v->letter) {
		colon = slice_chr(v->name, ':');
		if (colon > 0)
			return colon_value(x, v->name, (size_t)colon, out);
		return err_set(x->e, E_CONFIG, "Unknown variable '%%{%.*s}'",
			       (int)v->name.n, (const char *)v->name.p);
	}
	return err_set(x->e, E_CONFIG, "Unknown variable '%%%c'", v->letter);
}

/* ---- modifiers --------------------------------------------------------- */

/* 2.3's %H: P. J. Weinberger's hash. */
static uint32_t old_hash(const char *s)
{
	uint32_t h = 0, g;

	for (; *s; s++) {
		h = (h << 4) + (unsigned char)*s;
		g = h & 0xf0000000u;
		if (g) {
			h ^= g >> 24;
			h ^= g;
		}
	}
	return h;
}

/* %N: 32 bits of the MD5. */
static uint32_t new_hash(const char *s)
{
	uint8_t m[16];

	conf_md5(slice_str(s), m);
	return (uint32_t)m[4] << 24 | (uint32_t)m[5] << 16 |
	       (uint32_t)m[6] << 8 | m[7];
}

static char *hashed(struct arena *a, uint32_t h, struct var *v)
{
	/* The width is the modulus, the offset the least number of digits. */
	long pad = v->offset > 0 ? v->offset : 0;

	if (pad > 64)
		pad = 64;
	if (v->width > 0)
		h %= (uint32_t)v->width;
	v->width = v->offset = 0;
	v->has_width = false;
	return arena_printf(a, "%0*x", (int)pad, h);
}

static char *escaped(struct arena *a, const char *s)
{
	char *out = arena_alloc(a, 2 * strlen(s) + 1), *to = out;

	for (; *s; s++) {
		if (*s == '"' || *s == '\'' || *s == '\\')
			*to++ = '\\';
		*to++ = *s;
	}
	*to = '\0';
	return out;
}

static char *domain_dn(struct arena *a, const char *s)
{
	size_t dots = 0;
	char *out, *to;

	for (const char *p = s; *p; p++)
		dots += *p == '.';
	out = to = arena_alloc(a, strlen(s) + 3 * dots + 1);
	for (; *s; s++) {
		if (*s == '.') {
			memcpy(to, ",dc=", 4);
			to += 4;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
	return out;
}

static char *modified(struct arena *a, char *s, char mod, struct var *v)
{
	size_t n = strlen(s);
	uint8_t sum[16];
	uint64_t num;
	char *hex;

	switch (mod) {
	case 'L':
		for (size_t i = 0; i < n; i++)
			if (s[i] >= 'A' && s[i] <= 'Z')
				s[i] |= 0x20;
		return s;
	case 'U':
		for (size_t i = 0; i < n; i++)
			if (s[i] >= 'a' && s[i] <= 'z')
				s[i] &= ~0x20;
		return s;
	case 'R':
		for (size_t i = 0; i < n / 2; i++) {
			char c = s[i];

			s[i] = s[n - 1 - i];
			s[n - 1 - i] = c;
		}
		return s;
	case 'T':
		while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
			s[--n] = '\0';
		return s;
	case 'E':
		return escaped(a, s);
	case 'D':
		return domain_dn(a, s);
	case 'X':
		num = 0;
		if (slice_u64(slice_str(s), &num) < 0)
			num = 0;
		return arena_printf(a, "%llx", (unsigned long long)num);
	case 'M':
		conf_md5(slice_str(s), sum);
		hex = arena_alloc(a, 33);
		hex_of(sum, 16, hex);
		return hex;
	case 'H':
		return hashed(a, old_hash(s), v);
	default:
		return hashed(a, new_hash(s), v);
	}
}

static struct slice cut(struct arena *a, char *s, const struct var *v)
{
	size_t n = strlen(s), from = 0, len;
	char *padded;

	if (v->offset > 0)
		from = (size_t)v->offset < n ? (size_t)v->offset : n;
	else if (v->offset < 0 && (size_t)-v->offset < n)
		from = n - (size_t)-v->offset;
	len = n - from;
	if (v->has_width && v->width > 0 && (size_t)v->width < len)
		len = (size_t)v->width;
	if (!v->zero_pad || v->offset || v->width <= 0 ||
	    (size_t)v->width <= len)
		return slice_of(s + from, len);
	padded = arena_alloc(a, (size_t)v->width);
	memset(padded, '0', (size_t)v->width - len);
	memcpy(padded + v->width - len, s + from, len);
	return slice_of(padded, (size_t)v->width);
}

/* An empty user would turn /var/mail/%n into /var/mail; an empty domain, or
 * %1.1n of a short name, only leaves a level out, as in 2.3. */
static int check_safe(struct expansion *x, const struct var *v, struct slice s,
		      bool whole)
{
	bool user = is_name(v, 'u', "user") || is_name(v, 'n', "username");

	if (conf_vars_path_safe(s) || (s.n == 0 && !(user && whole)))
		return 0;
	return err_set(x->e, E_INVALID, "'%.*s' cannot be part of a path",
		       (int)s.n, (const char *)s.p);
}

static int put_var(struct expansion *x, struct var *v)
{
	char *s = NULL;
	struct slice out;
	bool is_path, check;
	int r = find_value(x, v, &s, &is_path);

	if (r < 0)
		return r;
	if (!s)
		s = arena_strdup(x->arena, "");
	check = (x->flags & CONF_VARS_PATH) && !is_path;
	if (check && (r = check_safe(x, v, slice_str(s), true)) < 0)
		return r;
	if (v->width > WIDTH_MAX && !memchr(v->mods, 'H', v->n_mods) &&
	    !memchr(v->mods, 'N', v->n_mods))
		v->width = WIDTH_MAX;
	for (size_t i = 0; i < v->n_mods; i++)
		s = modified(x->arena, s, v->mods[i], v);
	out = cut(x->arena, s, v);
	if (check && (r = check_safe(x, v, out, false)) < 0)
		return r;
	buf_slice(x->out, out);
	return 0;
}

/* ---- the door ---------------------------------------------------------- */

int conf_expand_in(struct expansion *x, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "%");
		struct var v;
		int r;

		buf_put(x->out, text, n);
		text += n;
		if (!*text)
			break;
		if (text[1] == '%') {
			buf_char(x->out, '%');
			text += 2;
			continue;
		}
		text = parse_var(text + 1, &v, x->e);
		if (!text)
			return E_CONFIG;
		r = put_var(x, &v);
		if (r < 0)
			return r;
	}
	return 0;
}

int conf_expand(const char *text, const struct conf_vars *v, unsigned flags,
		struct buf *out, struct err *e)
{
	struct expansion x = {
		.v = v,
		.flags = flags,
		.out = out,
		.e = e,
		.arena = arena_new(1024),
	};
	size_t before = out->n;
	int r = conf_expand_in(&x, text);

	arena_free(x.arena);
	if (r == 0 && (out->failed || out->n - before > CONF_VARS_MAX))
		r = err_set(e, E_LIMIT, "expanded text is too long");
	return r;
}

int conf_vars_check(const char *text, struct err *e)
{
	while ((text = strchr(text, '%')) != NULL) {
		struct var v;

		if (text[1] == '%') {
			text += 2;
			continue;
		}
		text = parse_var(text + 1, &v, e);
		if (!text)
			return E_CONFIG;
	}
	return 0;
}

bool conf_vars_used(const char *text, char letter, const char *name)
{
	struct err e;

	while ((text = strchr(text, '%')) != NULL) {
		struct var v;
		const char *b;

		if (text[1] == '%') {
			text += 2;
			continue;
		}
		text = parse_var(text + 1, &v, &e);
		if (!text)
			return false;
		if (is_name(&v, letter, name))
			return true;
		b = builtin_name(&v);
		if (b && name && strcmp(b, name) == 0)
			return true;
		if (!v.letter && v.name.n > 3 &&
		    memcmp(v.name.p, "if;", 3) == 0) {
			AUTO_FREE char *in = xstrndup(v.name.p, v.name.n);

			if (conf_vars_used(in, letter, name))
				return true;
		}
	}
	return false;
}

bool conf_vars_path_safe(struct slice value)
{
	if (value.n == 0 || value.p[0] == '.')
		return false;
	return !memchr(value.p, '/', value.n) &&
	       !memchr(value.p, '\0', value.n);
}

static int tidy_path(char *path, struct err *e)
{
	char *to = path;

	for (char *p = path; *p;) {
		size_t n;

		while (*p == '/')
			p++;
		n = strcspn(p, "/");
		if (n == 0)
			break;
		if ((n == 2 && p[0] == '.' && p[1] == '.') ||
		    (n == 1 && p[0] == '.'))
			return err_set(e, E_INVALID,
				       "%s: no '.' or '..' in paths", path);
		*to++ = '/';
		memmove(to, p, n);
		to += n;
		p += n;
	}
	if (to == path)
		*to++ = '/';
	*to = '\0';
	return 0;
}

int conf_expand_path(const char *text, const struct conf_vars *v,
		     struct arena *a, char **out, struct err *e)
{
	const char *home = v->home && *v->home ? v->home : NULL;
	struct buf b;
	char *path;
	int r;

	buf_init(&b, CONF_VARS_MAX);
	if (text[0] == '~' && (text[1] == '/' || !text[1])) {
		if (!home) {
			buf_fini(&b);
			return err_set(e, E_INVALID,
				       "%s: the account has no home", text);
		}
		buf_str(&b, home);
		text++;
	} else if (!home && conf_vars_used(text, 'h', "home")) {
		buf_fini(&b);
		return err_set(e, E_INVALID, "%s: the account has no home",
			       text);
	}
	r = conf_expand(text, v, CONF_VARS_PATH, &b, e);
	if (r < 0) {
		buf_fini(&b);
		return r;
	}
	path = arena_strndup(a, b.p, b.n);
	buf_fini(&b);
	if (path[0] != '/')
		return err_set(e, E_INVALID, "%s: not an absolute path", path);
	if (strstr(path, "/./"))
		return err_set(e, E_INVALID,
			       "%s: \"/./\" asks for a chroot, which Duet does "
			       "not do",
			       path);
	r = tidy_path(path, e);
	if (r == 0)
		*out = path;
	return r;
}
