#include "tests/lib/cu.h"

#include <errno.h>
#include <string.h>

static void clients_never_see_the_operators_text(void)
{
	struct err e = ERR_NONE;

	CU_EQ_INT(err_set(&e, -EIO, "/srv/mail/alice: %s", "broken"), -EIO);
	CU_EQ_INT(e.code, -EIO);
	CU_EQ_STR(e.op, "/srv/mail/alice: broken");
	CU_ASSERT(strstr(e.client, "alice") == NULL);
	CU_EQ_STR(e.client, err_client_text(-EIO));
	err_client(&e, "Mailbox %d is busy.", 3);
	CU_EQ_STR(e.client, "Mailbox 3 is busy.");
	CU_EQ_STR(e.op, "/srv/mail/alice: broken");
}

static void prefixes_are_put_before(void)
{
	struct err e = ERR_NONE;

	err_set(&e, E_CORRUPT, "byte %d", 5);
	err_prefix(&e, "file %s", "x");
	err_prefix(&e, "account");
	CU_EQ_STR(e.op, "account: file x: byte 5");
	CU_EQ_INT(e.code, E_CORRUPT);
}

static void texts_that_are_too_long_are_cut(void)
{
	struct err e = ERR_NONE;
	char big[1000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	err_set(&e, E_LIMIT, "%s", big);
	CU_EQ_INT(strlen(e.op), sizeof(e.op) - 1);
	for (int i = 0; i < 200; i++)
		err_prefix(&e, "prefix %d", i);
	CU_CLAIM(strlen(e.op) < sizeof(e.op), "%zu", strlen(e.op));
	CU_ASSERT(strncmp(e.op, "prefix 199: prefix 198: ", 24) == 0);
	err_prefix(&e, "%s", big);
	CU_EQ_INT(strlen(e.op), sizeof(e.op) - 1);
	err_client(&e, "%s", big);
	CU_EQ_INT(strlen(e.client), sizeof(e.client) - 1);
}

static void its_own_text_may_be_an_argument(void)
{
	struct err e = ERR_NONE;

	err_set(&e, E_TEMP, "inner");
	err_set(&e, E_TEMP, "outer: %s", e.op);
	CU_EQ_STR(e.op, "outer: inner");
}

static void every_code_has_its_words(void)
{
	for (int c = E_GONE; c <= E_CORRUPT; c++) {
		CU_CLAIM(strcmp(err_name(c), "unknown error") != 0, "%d", c);
		CU_CLAIM(*err_client_text(c), "%d", c);
	}
	CU_EQ_STR(err_name(-ENOENT), "No such file or directory");
	CU_EQ_STR(err_name(-5000), "unknown error");
	CU_EQ_STR(err_client_text(-ENOSPC), err_client_text(E_NOSPACE));
	CU_EQ_INT(err_set(NULL, E_TEMP, "x"), E_TEMP);
	err_prefix(NULL, "x");
	err_client(NULL, "x");
}

CU_TESTS(CU_CASE(clients_never_see_the_operators_text),
	 CU_CASE(prefixes_are_put_before), CU_CASE(texts_that_are_too_long_are_cut),
	 CU_CASE(its_own_text_may_be_an_argument), CU_CASE(every_code_has_its_words))
