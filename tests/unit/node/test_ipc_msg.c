/* Heads between roles: nothing is lost, nothing broken is taken. */

#include "proto/ipc_msg.h"
#include "node/adm.h"
#include "tests/lib/cu.h"

static void every_field_comes_back(void)
{
	static const char *const args[] = {"one", "", "three"};
	struct ipc_field f[] = {{"uid", "5"}, {"home", ""}};
	struct ipc_rcpt r[] = {{.index = 3, .address = "a@b", .user = "a",
				.home = "/h", .detail = "d", .fields = f,
				.n_fields = 2}};
	struct ipc_head h = {
		.role = 1, .index = 2, .flags = 3, .code = -1005,
		.value = 1ull << 60, .value2 = 7, .user = "u", .login = "l",
		.home = "h", .service = "imap", .session = "s", .tag = "t",
		.mech = "PLAIN", .rip = "::1", .lip = "::2", .rport = 65535,
		.lport = 1, .name = "n", .text = "x", .client = "c",
		.sender = "f", .id = SLICE_LIT("0123456789abcdef"),
		.data = SLICE_LIT("\0\1"), .fields = f, .n_fields = 2,
		.rcpts = r, .n_rcpts = 1, .args = args, .n_args = 3,
	}, g;
	struct arena *a = arena_new(1024);
	struct err e = ERR_NONE;
	struct buf b;

	buf_init(&b, 65536);
	ipc_head_encode(&h, &b);
	CU_OK(ipc_head_decode(buf_all(&b), a, &g, &e), &e);
	CU_EQ_INT(g.code, -1005);
	CU_EQ_U64(g.value, h.value);
	CU_EQ_INT(g.rport, 65535);
	CU_EQ_STR(g.user, "u");
	CU_EQ_STR(g.sender, "f");
	CU_EQ_SLICE(g.id, h.id);
	CU_EQ_SLICE(g.data, h.data);
	CU_EQ_STR(ipc_field_get(&g, "uid"), "5");
	CU_EQ_STR(ipc_field_get(&g, "none"), NULL);
	CU_NEED(g.n_rcpts == 1 && g.n_args == 3);
	CU_EQ_STR(g.rcpts[0].detail, "d");
	CU_EQ_STR(g.rcpts[0].fields[0].value, "5");
	CU_EQ_STR(g.args[2], "three");
	arena_free(a);
	buf_fini(&b);
}

static void texts_are_never_null(void)
{
	struct ipc_head h = {0}, g;
	struct arena *a = arena_new(256);
	struct buf b;

	buf_init(&b, 4096);
	ipc_head_encode(&h, &b);
	CU_EQ_INT(ipc_head_decode(buf_all(&b), a, &g, NULL), 0);
	CU_EQ_STR(g.user, "");
	CU_EQ_STR(g.text, "");
	arena_free(a);
	buf_fini(&b);
}

static void garbage_is_refused(void)
{
	struct arena *a = arena_new(256);
	struct err e = ERR_NONE;
	struct ipc_head g;

	CU_EQ_INT(ipc_head_decode(SLICE_LIT("\xff\xff\xff"), a, &g, &e),
		  E_PROTO);
	arena_free(a);
}

static void the_admin_head_is_checked(void)
{
	struct admin_head h = {.role = ROLE_STORE, .index = ADMIN_BY_KEY,
			       .key = 0x0123456789abcdefull}, g;
	uint8_t raw[ADMIN_HEAD_SIZE];

	admin_head_put(&h, raw);
	CU_EQ_INT(admin_head_get(raw, &g), 0);
	CU_EQ_INT(g.role, ROLE_STORE);
	CU_EQ_INT(g.index, ADMIN_BY_KEY);
	CU_EQ_U64(g.key, h.key);
	raw[5] = ROLE_N;
	CU_EQ_INT(admin_head_get(raw, &g), E_PROTO);
	raw[5] = 0;
	raw[4] = 2;
	CU_EQ_INT(admin_head_get(raw, &g), E_PROTO);
	raw[4] = 1;
	raw[0] ^= 1;
	CU_EQ_INT(admin_head_get(raw, &g), E_PROTO);
}

static void masks_match_as_in_a_shell(void)
{
	CU_CLAIM(adm_mask("*", ""), "star, empty");
	CU_CLAIM(adm_mask("*", "alice"), "star");
	CU_CLAIM(adm_mask("a?i*e", "alice"), "mixed");
	CU_CLAIM(adm_mask("*@x", "a@y@x"), "last part");
	CU_CLAIM(!adm_mask("a", "alice"), "prefix");
	CU_CLAIM(!adm_mask("?", ""), "one of none");
	CU_CLAIM(!adm_mask("A*", "alice"), "case");
}

CU_TESTS(CU_CASE(every_field_comes_back), CU_CASE(texts_are_never_null),
	 CU_CASE(garbage_is_refused), CU_CASE(the_admin_head_is_checked),
	 CU_CASE(masks_match_as_in_a_shell))
