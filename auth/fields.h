#ifndef DUET_AUTH_FIELDS_H
#define DUET_AUTH_FIELDS_H

/*
 * What a backend says about a user: an ordered list of names and values.
 * Names are unique, compared byte by byte.  Memory is an arena's.
 */

#include "node/base/arena.h"
#include "node/base/err.h"

#define FIELDS_MAX 256		/* fields of one answer */

struct auth_field {
	const char *name;
	const char *value;	/* never NULL; "" if the field has no "=" */
};

struct auth_fields {
	struct auth_field *v;
	size_t n, cap;
};

/* NULL if absent. */
const char *fields_get(const struct auth_fields *f, const char *name);
/* True if there and not "no", "n", "0" (boolean fields need no value). */
bool fields_yes(const struct auth_fields *f, const char *name);
/* Adds, or replaces in place.  Texts are copied.  E_LIMIT past FIELDS_MAX. */
int fields_set(struct auth_fields *f, struct arena *a, const char *name,
	       const char *value, struct err *e);
void fields_remove(struct auth_fields *f, const char *name);
/* Cuts the next word off *text, at blanks and tabs; false at the end. */
bool fields_word(struct slice *text, struct slice *word_out);
/* "name=value" or "name", unescaped. */
void fields_split(struct slice word, struct slice *name, struct slice *value);
/* "a=1 b c=2": all words.  A later one of the same name wins. */
int fields_parse(struct auth_fields *f, struct arena *a, struct slice text,
		 struct err *e);

#endif
