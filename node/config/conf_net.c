/* Networks and names of filters. */

#include "node/config/conf_int.h"
#include "node/base/cleanup.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <strings.h>

static int parse_ip(const char *text, struct conf_net *out)
{
	AUTO_FREE char *copy = NULL;
	size_t n = strlen(text);

	if (n > 2 && text[0] == '[' && text[n - 1] == ']') {
		copy = xstrndup(text + 1, n - 2);
		text = copy;
	}
	memset(out->addr, 0, sizeof(out->addr));
	if (inet_pton(AF_INET, text, out->addr) == 1) {
		out->family = AF_INET;
		out->bits = 32;
		return 0;
	}
	if (inet_pton(AF_INET6, text, out->addr) == 1) {
		out->family = AF_INET6;
		out->bits = 128;
		return 0;
	}
	return -1;
}

static int resolve(const char *text, struct conf_net *out, struct err *e)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
				 .ai_socktype = SOCK_STREAM};
	struct addrinfo *res;
	int r = getaddrinfo(text, NULL, &hints, &res);

	if (r != 0)
		return err_set(e, E_CONFIG, "gethostbyname(%s) failed: %s",
			       text, gai_strerror(r));
	memset(out->addr, 0, sizeof(out->addr));
	out->family = res->ai_family;
	if (res->ai_family == AF_INET) {
		memcpy(out->addr,
		       &((struct sockaddr_in *)(void *)res->ai_addr)->sin_addr,
		       4);
		out->bits = 32;
	} else {
		memcpy(out->addr,
		       &((struct sockaddr_in6 *)(void *)res->ai_addr)
				->sin6_addr,
		       16);
		out->bits = 128;
	}
	freeaddrinfo(res);
	return 0;
}

int conf_net_parse_in(struct arena *arena, const char *text,
		      struct conf_net *out, struct err *e)
{
	const char *slash = strchr(text, '/');
	AUTO_FREE char *ip =
		xstrndup(text, slash ? (size_t)(slash - text) : strlen(text));
	uint64_t bits;

	*out = (struct conf_net){.text = text};
	if (parse_ip(ip, out) < 0) {
		if (!slash)
			return resolve(ip, out, e);
		return err_set(e, E_CONFIG, "Invalid network: %s", text);
	}
	if (!slash)
		return 0;
	if (slice_u64(slice_str(slash + 1), &bits) < 0 || bits > out->bits)
		return err_set(e, E_CONFIG, "Invalid network mask: %s",
			       slash + 1);
	/* 1.2.3.4/32 is 1.2.3.4. */
	if (bits == out->bits && arena)
		out->text = arena_strndup(arena, text, (size_t)(slash - text));
	out->bits = (unsigned)bits;
	return 0;
}

int conf_net_parse(const char *text, struct conf_net *out, struct err *e)
{
	return conf_net_parse_in(NULL, text, out, e);
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;

	if (memcmp(a, b, bytes) != 0)
		return false;
	return rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0;
}

bool conf_net_has(const struct conf_net *net, const char *ip)
{
	struct conf_net x;

	if (!ip || !*ip || parse_ip(ip, &x) < 0)
		return false;
	/* ::ffff:192.0.2.1 is 192.0.2.1. */
	if (x.family == AF_INET6 && net->family == AF_INET &&
	    memcmp(x.addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0)
		return same_bits(net->addr, x.addr + 12, net->bits);
	return x.family == net->family &&
	       same_bits(net->addr, x.addr, net->bits);
}

bool conf_net_inside(const struct conf_net *in, const struct conf_net *out)
{
	return in->family == out->family && in->bits >= out->bits &&
	       same_bits(in->addr, out->addr, out->bits);
}

/* "*.example.com" has one level in the place of "*". */
static bool one_name(const char *pat, size_t n, const char *name)
{
	if (n > 2 && pat[0] == '*' && pat[1] == '.') {
		const char *dot = strchr(name, '.');

		if (!dot || dot == name)
			return false;
		return strlen(dot) == n - 1 &&
		       strncasecmp(dot, pat + 1, n - 1) == 0;
	}
	return strlen(name) == n && strncasecmp(pat, name, n) == 0;
}

bool conf_name_matches(const char *patterns, const char *name)
{
	const char *p = patterns;

	if (!name || !*name)
		return false;
	while (*(p += strspn(p, " ,")) != '\0') {
		size_t n = strcspn(p, " ,");

		if (one_name(p, n, name))
			return true;
		p += n;
	}
	return false;
}
