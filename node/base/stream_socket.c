/* Listening, connecting, and who is at the other end. */

#include "node/base/stream.h"
#include "node/base/arena.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int fail(struct err *e, const char *what, const char *where)
{
	int code = -errno;

	return err_set(e, code, "%s %s: %s", what, where, strerrordesc_np(-code));
}

static int parse_inet(const char *text, unsigned port,
		      struct sockaddr_storage *out, socklen_t *n, struct err *e)
{
	struct sockaddr_in *v4 = (void *)out;
	struct sockaddr_in6 *v6 = (void *)out;
	struct addrinfo hint = {.ai_family = AF_INET6,
				.ai_socktype = SOCK_STREAM,
				.ai_flags = AI_NUMERICHOST};
	struct addrinfo *found;
	char bare[INET6_ADDRSTRLEN + 20];
	size_t len = strlen(text);

	memset(out, 0, sizeof(*out));
	if (port > 65535)
		return err_set(e, E_INVALID, "port %u is beyond 65535", port);
	if (*text == '[' && len >= 2 && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	snprintf(bare, sizeof(bare), "%.*s", (int)len, text);
	if (strcmp(bare, "*") == 0)
		snprintf(bare, sizeof(bare), "0.0.0.0");
	if (inet_pton(AF_INET, bare, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		*n = sizeof(*v4);
		return 0;
	}
	/* With a scope: fe80::1%eth0 */
	if (getaddrinfo(bare, NULL, &hint, &found) == 0) {
		memcpy(v6, found->ai_addr, sizeof(*v6));
		freeaddrinfo(found);
		v6->sin6_port = htons((uint16_t)port);
		*n = sizeof(*v6);
		return 0;
	}
	return err_set(e, E_INVALID, "'%s' is not an IP address", bare);
}

int stream_listen_inet(const char *address, unsigned port, int *fd_out,
		       struct err *e)
{
	struct sockaddr_storage at;
	char where[80];
	int fd, one = 1, r;
	socklen_t n;

	r = parse_inet(address, port, &at, &n, e);
	if (r < 0)
		return r;
	snprintf(where, sizeof(where), "%.60s port %u", address, port);
	fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(e, "socket for", where);
	/* [::] is IPv6 only, so that * can stand beside it. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    (at.ss_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0) ||
	    bind(fd, (struct sockaddr *)&at, n) < 0 || listen(fd, SOMAXCONN) < 0) {
		r = fail(e, "cannot listen on", where);
		close(fd);
		return r;
	}
	*fd_out = fd;
	return 0;
}

static int unix_address(const char *path, struct sockaddr_un *out, struct err *e)
{
	size_t n = strlen(path);

	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (n == 0 || n >= sizeof(out->sun_path))
		return err_set(e, E_LIMIT, "socket name %s is longer than %zu "
					   "bytes", path, sizeof(out->sun_path) - 1);
	memcpy(out->sun_path, path, n + 1);
	return 0;
}

/* 0 if the name is free or left over, -EADDRINUSE if somebody answers. */
static int name_is_free(const char *path, const struct sockaddr_un *at,
			struct err *e)
{
	struct stat st;
	int fd, r;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : fail(e, "cannot look at", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, -EEXIST, "%s exists and is not a socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(e, "socket for", path);
	r = connect(fd, (const struct sockaddr *)at, sizeof(*at));
	/* A full backlog (EAGAIN) is life too. */
	if (r == 0 || errno == EAGAIN || errno == EINPROGRESS)
		r = err_set(e, -EADDRINUSE, "%s: another process listens there",
			    path);
	else
		r = 0;
	close(fd);
	return r;
}

/*
 * Bound under another name with the narrowest mode, made what it shall be,
 * and renamed: at no moment can somebody connect who may not.
 */
static int bind_unix(int fd, const char *tmp, const char *path, unsigned mode,
		     int uid, int gid, struct err *e)
{
	struct sockaddr_un at;
	int r = unix_address(tmp, &at, e);

	if (r < 0)
		return r;
	if (unlink(tmp) < 0 && errno != ENOENT)
		return fail(e, "cannot remove", tmp);
	/* bind() takes the mode of the socket's own inode. */
	if (fchmod(fd, 0600 & mode) < 0 ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return fail(e, "cannot create", tmp);
	if ((uid != -1 || gid != -1) && chown(tmp, (uid_t)uid, (gid_t)gid) < 0)
		r = fail(e, "cannot set the owner of", path);
	else if (chmod(tmp, mode) < 0)
		r = fail(e, "cannot set the mode of", path);
	else if (listen(fd, SOMAXCONN) < 0 || rename(tmp, path) < 0)
		r = fail(e, "cannot listen on", path);
	if (r < 0)
		unlink(tmp);
	return r;
}

int stream_listen_unix(const char *path, unsigned mode, int uid, int gid,
		       int *fd_out, struct err *e)
{
	struct sockaddr_un at;
	char *tmp;
	int fd, r;

	r = unix_address(path, &at, e);
	if (r == 0)
		r = name_is_free(path, &at, e);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(e, "socket for", path);
	tmp = xprintf("%s~", path);
	r = bind_unix(fd, tmp, path, mode, uid, gid, e);
	free(tmp);
	if (r < 0) {
		close(fd);
		return r;
	}
	*fd_out = fd;
	return 0;
}

static int connect_to(const struct sockaddr *at, socklen_t n, const char *where,
		      int *fd_out, struct err *e)
{
	int fd = socket(at->sa_family,
			SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return fail(e, "socket for", where);
	if (connect(fd, at, n) < 0 && errno != EINPROGRESS) {
		r = fail(e, "cannot connect to", where);
		close(fd);
		return r;
	}
	*fd_out = fd;
	return 0;
}

int stream_connect_inet(const char *ip, unsigned port, int *fd_out,
			struct err *e)
{
	struct sockaddr_storage at;
	char where[80];
	socklen_t n;
	int r = parse_inet(ip, port, &at, &n, e);

	if (r < 0)
		return r;
	snprintf(where, sizeof(where), "%.60s port %u", ip, port);
	return connect_to((struct sockaddr *)&at, n, where, fd_out, e);
}

int stream_connect_unix(const char *path, int *fd_out, struct err *e)
{
	struct sockaddr_un at;
	int r = unix_address(path, &at, e);

	if (r < 0)
		return r;
	return connect_to((struct sockaddr *)&at, sizeof(at), path, fd_out, e);
}

static void text_of(const struct sockaddr_storage *a, char *ip, size_t n,
		    unsigned *port)
{
	const struct sockaddr_in *v4 = (const void *)a;
	const struct sockaddr_in6 *v6 = (const void *)a;

	if (n)
		*ip = '\0';
	*port = 0;
	if (a->ss_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, ip, (socklen_t)n);
		*port = ntohs(v4->sin_port);
	} else if (a->ss_family == AF_INET6) {
		*port = ntohs(v6->sin6_port);
		if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
			inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, ip,
				  (socklen_t)n);
		else
			inet_ntop(AF_INET6, &v6->sin6_addr, ip, (socklen_t)n);
	}
}

void stream_peer_text(int fd, char *ip, size_t n, unsigned *port_out)
{
	struct sockaddr_storage a = {0};
	socklen_t len = sizeof(a);

	if (getpeername(fd, (struct sockaddr *)&a, &len) < 0)
		a.ss_family = AF_UNSPEC;
	text_of(&a, ip, n, port_out);
}

void stream_local_text(int fd, char *ip, size_t n, unsigned *port_out)
{
	struct sockaddr_storage a = {0};
	socklen_t len = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		a.ss_family = AF_UNSPEC;
	text_of(&a, ip, n, port_out);
}
