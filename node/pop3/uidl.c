#include "node/pop3/pop3.h"
#include "node/base/digest.h"
#include "node/config/conf_vars.h"

#include <stdio.h>

/* pop3_uidl_format: a function of UID, UIDVALIDITY and GUID only, which are
 * the same on both nodes and after a takeover. */

#define UIDL_MAX 70u

bool pop3_uidl_needs_guid(const char *format)
{
	return conf_vars_used(format, 'g', "guid");
}

void pop3_put_uidl(struct buf *to, const char *format, uint32_t uid,
		   uint32_t uidvalidity, const struct id128 *guid)
{
	char u[16], v[16], g[33] = "";
	const struct conf_var extra[] = {
		{'u', "uid", u}, {'v', "uidvalidity", v}, {'g', "guid", g},
	};
	const struct conf_vars vars = {
		.user = "", .home = "", .service = "pop3", .lip = "",
		.rip = "", .session = "", .uid = (unsigned)-1,
		.extra = extra, .n_extra = ARRAY_LEN(extra),
	};
	struct buf text;

	snprintf(u, sizeof(u), "%u", uid);
	snprintf(v, sizeof(v), "%u", uidvalidity);
	if (guid)
		hex_of(guid->b, sizeof(guid->b), g);
	buf_init(&text, 1024);
	if (conf_expand(format, &vars, 0, &text, NULL) < 0 || text.n == 0) {
		buf_reset(&text);
		buf_printf(&text, "%08x%08x", uid, uidvalidity);
	}
	for (size_t i = 0; i < text.n && i < UIDL_MAX; i++)
		buf_char(to, text.p[i] > 0x20 && text.p[i] < 0x7f ? text.p[i]
								  : '_');
	buf_fini(&text);
}
