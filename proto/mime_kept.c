#include "proto/mime.h"

/* Fields that are long, met in every message and shown by no mail client. */
static const char *const passed_over[] = {
	"Authentication-Results", "Autocrypt", "Autocrypt-Gossip",
	"DKIM-Signature", "DomainKey-Signature", "Face", "Received-SPF",
};

/* Of the many X-… fields those that clients and filters look at. */
static const char *const kept_x[] = {
	"X-Label", "X-Mailer", "X-Priority", "X-Spam", "X-Spam-Flag",
	"X-Spam-Level", "X-Spam-Score", "X-Spam-Status",
};

static bool is_one_of(struct slice name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (slice_is_ci(name, names[i]))
			return true;
	return false;
}

static bool begins(struct slice name, const char *with)
{
	struct slice prefix = slice_str(with);

	return name.n >= prefix.n &&
	       slice_eq_ci(slice_sub(name, 0, prefix.n), prefix);
}

bool mime_field_is_kept(struct slice name)
{
	if (begins(name, "X-"))
		return is_one_of(name, kept_x, ARRAY_LEN(kept_x));
	return !begins(name, "ARC-") &&
	       !is_one_of(name, passed_over, ARRAY_LEN(passed_over));
}

bool mime_section_is_kept(const struct mime_section *s)
{
	if (s->kind != MIME_SECTION_HEADER_FIELDS || s->n_path)
		return false;
	for (size_t i = 0; i < s->n_fields; i++)
		if (!mime_field_is_kept(s->fields[i]))
			return false;
	return true;
}

struct slice mime_kept(struct slice header, struct arena *a)
{
	struct mime_field f;
	size_t pos = 0, n = 0;
	uint8_t *to;

	while (mime_field_next(header, &pos, &f))
		if (mime_field_is_kept(f.name))
			n += f.whole.n;
	if (n > MIME_KEPT_MAX)
		return SLICE_NONE;
	to = arena_alloc(a, n + 1);
	for (n = pos = 0; mime_field_next(header, &pos, &f);) {
		if (!mime_field_is_kept(f.name))
			continue;
		memcpy(to + n, f.whole.p, f.whole.n);
		n += f.whole.n;
	}
	return slice_of(to, n);
}
