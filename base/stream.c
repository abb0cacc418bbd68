#include "base/stream.h"

#include <stdlib.h>
#include <string.h>

bool cf_entry_name_valid(const char *name)
{
	return name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !strchr(name, '/');
}

static size_t text_len(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

static size_t dup_len(const struct cf_entry *entry)
{
	size_t len = entry->n_xattrs * sizeof(struct cf_xattr) +
		     entry->n_facts * sizeof(struct cf_fact);

	len += text_len(entry->name) + text_len(entry->user) + text_len(entry->group) +
	       text_len(entry->target);
	for (size_t i = 0; i < entry->n_xattrs; i++)
		len += text_len(entry->xattrs[i].name) + entry->xattrs[i].value.len;
	for (size_t i = 0; i < entry->n_facts; i++)
		len += text_len(entry->facts[i].key) + text_len(entry->facts[i].value);
	return len;
}

static const void *place(char **at, const void *data, size_t len)
{
	char *to = *at;

	if (len)
		memcpy(to, data, len);
	*at += len;
	return to;
}

static const char *place_text(char **at, const char *text)
{
	return text ? place(at, text, strlen(text) + 1) : NULL;
}

void *cf_entry_dup_in(const struct cf_entry *entry, size_t head_len)
{
	struct cf_entry *copy = calloc(1, head_len + dup_len(entry));
	struct cf_xattr *xattrs;
	struct cf_fact *facts;
	char *at;

	if (!copy)
		return NULL;
	*copy = *entry;
	xattrs = (struct cf_xattr *)(void *)((char *)copy + head_len);
	facts = (struct cf_fact *)(xattrs + entry->n_xattrs);
	at = (char *)(facts + entry->n_facts);
	for (size_t i = 0; i < entry->n_xattrs; i++) {
		struct cf_span value = entry->xattrs[i].value;

		xattrs[i].name = place_text(&at, entry->xattrs[i].name);
		xattrs[i].value = cf_span_of(place(&at, value.data, value.len), value.len);
	}
	for (size_t i = 0; i < entry->n_facts; i++) {
		facts[i].key = place_text(&at, entry->facts[i].key);
		facts[i].value = place_text(&at, entry->facts[i].value);
	}
	copy->xattrs = xattrs;
	copy->facts = facts;
	copy->name = place_text(&at, entry->name);
	copy->user = place_text(&at, entry->user);
	copy->group = place_text(&at, entry->group);
	copy->target = place_text(&at, entry->target);
	return copy;
}

struct cf_entry *cf_entry_dup(const struct cf_entry *entry)
{
	return cf_entry_dup_in(entry, sizeof(*entry));
}
