#include "tests/lib/cu.h"
#include "node/base/arena.h"
#include "node/base/loop.h"
#include "node/base/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void addresses_that_are_none_are_refused(void)
{
	static const char *const bad[] = {
		"", "localhost", "1.2.3", "1.2.3.4.5", "[1.2.3.4", "::1]", "[::1",
		"example.org", "[]",
	};
	int fd = -1;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = ERR_NONE;
		int r = stream_listen_inet(bad[i], 0, &fd, &e);

		CU_CLAIM(r == E_INVALID, "row %zu gives %d", i, r);
		CU_CLAIM(*e.op, "row %zu has no text", i);
		CU_EQ_INT(stream_connect_inet(bad[i], 1, &fd, NULL), E_INVALID);
	}
	CU_EQ_INT(stream_listen_inet("127.0.0.1", 65536, &fd, NULL), E_INVALID);
	CU_EQ_INT(fd, -1);
}

static void both_ends_know_each_other(void)
{
	struct err e = ERR_NONE;
	char ip[64], ip2[64];
	unsigned port, port2, ignored;
	int listener, client, server;

	CU_OK(stream_listen_inet("127.0.0.1", 0, &listener, &e), &e);
	stream_local_text(listener, ip, sizeof(ip), &port);
	CU_EQ_STR(ip, "127.0.0.1");
	CU_ASSERT(port > 0);
	CU_OK(stream_connect_inet("127.0.0.1", port, &client, &e), &e);
	CU_EQ_INT(fcntl(listener, F_SETFL, 0), 0);
	server = accept(listener, NULL, NULL);
	CU_NEED(server >= 0);
	stream_peer_text(server, ip, sizeof(ip), &port);
	stream_local_text(client, ip2, sizeof(ip2), &port2);
	CU_EQ_STR(ip, ip2);
	CU_EQ_INT(port, port2);
	close(server);
	close(client);
	/* The port is taken. */
	stream_local_text(listener, ip, sizeof(ip), &port);
	CU_EQ_INT(stream_listen_inet("127.0.0.1", port, &client, &e),
		  -EADDRINUSE);
	close(listener);
	stream_peer_text(-1, ip, sizeof(ip), &ignored);
	CU_EQ_STR(ip, "");
}

static void mapped_addresses_are_shown_as_ipv4(void)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6,
				   .sin6_addr = IN6ADDR_ANY_INIT};
	int off = 0, client, server, fd = socket(AF_INET6, SOCK_STREAM, 0);
	char ip[64];
	unsigned port;

	/* A machine without IPv6 has no mapped addresses either. */
	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, 1)) {
		printf("no IPv6 here\n");
		close(fd);
		return;
	}
	stream_local_text(fd, ip, sizeof(ip), &port);
	CU_EQ_INT(stream_connect_inet("127.0.0.1", port, &client, NULL), 0);
	server = accept(fd, NULL, NULL);
	stream_peer_text(server, ip, sizeof(ip), &port);
	CU_EQ_STR(ip, "127.0.0.1");
	close(server);
	close(client);
	close(fd);
}

static void on_readable(void *arg)
{
	(void)arg;
}

static void on_closed(void *arg, const struct err *e)
{
	*(struct err *)arg = *e;
}

static void a_refused_connection_is_told_by_closed(void)
{
	static const struct stream_ops ops = {.readable = on_readable,
					      .closed = on_closed};
	struct err e = ERR_NONE;
	struct loop *l;
	struct stream *s;
	char ip[64];
	unsigned port;
	int fd, r;

	CU_EQ_INT(stream_listen_inet("127.0.0.1", 0, &fd, NULL), 0);
	stream_local_text(fd, ip, sizeof(ip), &port);
	close(fd);
	r = stream_connect_inet("127.0.0.1", port, &fd, &e);
	if (r < 0) {
		/* The kernel knew at once. */
		CU_EQ_INT(r, -ECONNREFUSED);
		return;
	}
	CU_EQ_INT(loop_new(&l), 0);
	s = stream_new(l, fd, 100, 100, &ops, &e);
	buf_str(stream_out(s), "hello");
	stream_flush(s);
	while (e.code == 0)
		loop_turn(l, UINT64_MAX);
	CU_EQ_INT(e.code, -ECONNREFUSED);
	stream_free(s);
	loop_free(l);
}

static void unix_sockets_are_never_wider_than_asked(void)
{
	char root[CU_DIR_SIZE], path[CU_DIR_SIZE + 2], longer[200];
	struct err e = ERR_NONE;
	struct stat st;
	int fd, fd2, client;
	FILE *f;

	cu_dir(root, sizeof(root));
	snprintf(path, sizeof(path), "%s/s", root);
	CU_OK(stream_listen_unix(path, 0640, -1, -1, &fd, &e), &e);
	CU_EQ_INT(stat(path, &st), 0);
	CU_EQ_INT(st.st_mode, S_IFSOCK | 0640);
	CU_OK(stream_connect_unix(path, &client, &e), &e);
	/* Somebody lives there. */
	CU_EQ_INT(stream_listen_unix(path, 0666, -1, -1, &fd2, &e), -EADDRINUSE);
	close(client);
	close(fd);
	/* Nobody does any more. */
	CU_EQ_INT(stream_connect_unix(path, &client, &e), -ECONNREFUSED);
	CU_OK(stream_listen_unix(path, 0666, (int)getuid(), (int)getgid(), &fd, &e),
	      &e);
	CU_EQ_INT(stat(path, &st), 0);
	CU_EQ_INT(st.st_mode, S_IFSOCK | 0666);
	close(fd);
	unlink(path);
	/* Not ours to replace. */
	f = fopen(path, "w");
	CU_NEED(f);
	fclose(f);
	CU_EQ_INT(stream_listen_unix(path, 0666, -1, -1, &fd, &e), -EEXIST);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	CU_EQ_INT(stream_listen_unix(longer, 0666, -1, -1, &fd, &e), E_LIMIT);
	CU_EQ_INT(stream_connect_unix(longer, &fd, &e), E_LIMIT);
	unlink(path);
	CU_EQ_INT(rmdir(root), 0);
}

CU_TESTS(CU_CASE(addresses_that_are_none_are_refused),
	 CU_CASE(both_ends_know_each_other),
	 CU_CASE(mapped_addresses_are_shown_as_ipv4),
	 CU_CASE(a_refused_connection_is_told_by_closed),
	 CU_CASE(unix_sockets_are_never_wider_than_asked))
