#include "node/pop3/pop3.h"
#include "tests/lib/cu.h"

/* Wrong UIDLs make every client download all mail again. */

static void claim(const char *format, uint32_t uid, uint32_t uidvalidity,
		  const char *want)
{
	struct id128 guid;
	struct buf b;

	for (int i = 0; i < 16; i++)
		guid.b[i] = (uint8_t)(i * 0x11);
	buf_init(&b, 1024);
	pop3_put_uidl(&b, format, uid, uidvalidity, &guid);
	CU_EQ_TEXT(buf_all(&b), want);
	buf_fini(&b);
}

static void formats_of_dovecot(void)
{
	claim("%08Xu%08Xv", 1, 1700000000, "000000016553f100");
	claim("%08Xu%08Xv", 0xabcdef, 4294967295u, "00abcdefffffffff");
	claim("UID%u-%v", 42, 1700000000, "UID42-1700000000");
	claim("%v.%u", 7, 3, "3.7");
	claim("%Xv%Xu", 255, 16, "10ff");
	claim("%g", 1, 1, "00112233445566778899aabbccddeeff");
	CU_ASSERT(pop3_uidl_needs_guid("%g"));
	CU_ASSERT(!pop3_uidl_needs_guid("%08Xu%08Xv"));
}

static void a_uidl_is_what_rfc_1939_allows(void)
{
	claim("a b%u", 1, 1, "a_b1");
	claim("%g%g%g", 1, 1, "00112233445566778899aabbccddeeff"
			      "00112233445566778899aabbccddeeff001122");
}

CU_TESTS(CU_CASE(formats_of_dovecot),
	 CU_CASE(a_uidl_is_what_rfc_1939_allows))
