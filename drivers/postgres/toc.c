/*
 * A custom archive begins:
 *
 *     "PGDMP", version (3 bytes), size of an integer, size of an offset, format
 *     compression (1.15: one byte, before: an integer), time (7 integers), database, server and
 * program version number of entries, entries
 *
 * An integer is a sign byte and its little-endian bytes; a text its length as an integer, -1 for
 * none, and its bytes.
 */

#include "drivers/postgres/toc.h"

#include "base/err.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION(major, minor) ((unsigned)(major) << 8 | (minor))
#define VERSION_OLDEST	      VERSION(1, 12)
#define VERSION_TABLE_AM      VERSION(1, 14)
#define VERSION_ALGORITHM     VERSION(1, 15)
#define VERSION_RELKIND	      VERSION(1, 16)
#define VERSION_NEWEST	      VERSION(1, 16)

#define FORMAT_CUSTOM 1
#define INT_LEN	      5 /* sign and four bytes */
#define N_TIME_PARTS  7
#define ENTRY_LEN_MIN 80 /* with every text absent */

struct reader {
	const uint8_t *at, *end;
	size_t offset_len;
	char *texts;   /* where the next text goes */
	int32_t *deps; /* where the next dependency goes */
	bool failed;
};

static unsigned read_byte(struct reader *r)
{
	if (r->at == r->end) {
		r->failed = true;
		return 0;
	}
	return *r->at++;
}

static void skip_bytes(struct reader *r, size_t len)
{
	if ((size_t)(r->end - r->at) < len) {
		r->failed = true;
		r->at = r->end;
		return;
	}
	r->at += len;
}

static int32_t read_int(struct reader *r)
{
	const uint8_t *in = r->at;
	uint32_t magnitude;

	skip_bytes(r, INT_LEN);
	if (r->failed)
		return 0;
	magnitude = in[1] | (uint32_t)in[2] << 8 | (uint32_t)in[3] << 16 | (uint32_t)in[4] << 24;
	if (in[0] > 1 || magnitude > INT32_MAX) {
		r->failed = true;
		return 0;
	}
	return in[0] ? -(int32_t)magnitude : (int32_t)magnitude;
}

/* The archive has five bytes before each text, so the copies and their NULs fit into its length. */
static const char *read_text(struct reader *r)
{
	int32_t len = read_int(r);
	const uint8_t *in = r->at;
	char *text = r->texts;

	if (r->failed || len < 0)
		return NULL;
	skip_bytes(r, (size_t)len);
	if (r->failed || memchr(in, 0, (size_t)len)) {
		r->failed = true;
		return NULL;
	}
	memcpy(text, in, (size_t)len);
	text[len] = 0;
	r->texts += len + 1;
	return text;
}

/* A number written as text; absent is 0. */
static uint32_t read_number(struct reader *r, uint32_t max)
{
	const char *text = read_text(r);
	char *end;
	unsigned long value;

	if (!text)
		return 0;
	value = strtoul(text, &end, 10);
	if (end == text || *end || text[0] < '0' || text[0] > '9' || value > max) {
		r->failed = true;
		return 0;
	}
	return (uint32_t)value;
}

static void read_deps(struct reader *r, struct cf_pg_toc_entry *entry)
{
	entry->deps = r->deps;
	for (;;) {
		const uint8_t *before = r->at;
		uint32_t id;

		/* Absent text ends the list. */
		if (read_int(r) < 0 || r->failed)
			return;
		r->at = before;
		id = read_number(r, INT32_MAX);
		if (r->failed)
			return;
		*r->deps++ = (int32_t)id;
		entry->n_deps++;
	}
}

static void read_entry(struct reader *r, unsigned version, struct cf_pg_toc_entry *entry)
{
	int32_t section;

	entry->dump_id = read_int(r);
	read_int(r); /* whether there was a function to write its data */
	entry->table_oid = read_number(r, UINT32_MAX);
	entry->oid = read_number(r, UINT32_MAX);
	entry->tag = read_text(r);
	entry->desc = read_text(r);
	section = read_int(r);
	entry->defn = read_text(r);
	entry->drop_stmt = read_text(r);
	entry->copy_stmt = read_text(r);
	entry->nspname = read_text(r);
	entry->tablespace = read_text(r);
	if (version >= VERSION_TABLE_AM)
		entry->table_am = read_text(r);
	if (version >= VERSION_RELKIND)
		entry->relkind = read_int(r);
	entry->owner = read_text(r);
	read_text(r); /* WITH OIDS, of servers before 12 */
	read_deps(r, entry);
	skip_bytes(r, 1 + r->offset_len); /* where its data is */
	if (entry->dump_id <= 0 || section < CF_PG_SECTION_NONE ||
	    section > CF_PG_SECTION_POST_DATA || !entry->tag || !entry->desc)
		r->failed = true;
	else
		entry->section = (enum cf_pg_section)section;
	/* What has no text in the archive is empty in most places; here it is always absent. */
	if (entry->nspname && !entry->nspname[0])
		entry->nspname = NULL;
	if (entry->owner && !entry->owner[0])
		entry->owner = NULL;
}

static int read_magic(struct reader *r, unsigned *version_out, struct cf_err *err)
{
	unsigned major, minor, int_len, offset_len, format;

	if (r->end - r->at < 11 || memcmp(r->at, "PGDMP", 5) != 0)
		return cf_err_set(err, CF_ERR_DAMAGED, "it is no archive of pg_dump");
	r->at += 5;
	major = read_byte(r);
	minor = read_byte(r);
	read_byte(r);
	int_len = read_byte(r);
	offset_len = read_byte(r);
	format = read_byte(r);
	*version_out = VERSION(major, minor);
	if (*version_out < VERSION_OLDEST || *version_out > VERSION_NEWEST)
		return cf_err_set(
			err, CF_ERR_UNSUPPORTED,
			"format %u.%u of pg_dump's archive is not supported (1.12 to 1.16 are)",
			major, minor);
	if (format != FORMAT_CUSTOM)
		return cf_err_set(err, CF_ERR_UNSUPPORTED,
				  "it is an archive of pg_dump, but not in the custom format");
	if (int_len != INT_LEN - 1 || (offset_len != 4 && offset_len != 8))
		return cf_err_set(err, CF_ERR_UNSUPPORTED, "the archive is of an unusual machine");
	r->offset_len = offset_len;
	return 0;
}

/* What stands between the magic and the entries. */
static void read_head(struct reader *r, struct cf_pg_toc *toc)
{
	if (toc->version >= VERSION_ALGORITHM)
		read_byte(r);
	else
		read_int(r);
	for (int i = 0; i < N_TIME_PARTS; i++)
		read_int(r);
	toc->database = read_text(r);
	toc->server_version = read_text(r);
	toc->program_version = read_text(r);
}

const char *cf_pg_toc_encoding(const struct cf_pg_toc *toc)
{
	for (size_t i = 0; i < toc->n_entries; i++)
		if (strcmp(toc->entries[i].desc, "ENCODING") == 0)
			return toc->entries[i].defn;
	return NULL;
}

void cf_pg_toc_encoding_name(const struct cf_pg_toc *toc, char *out, size_t size)
{
	const char *setting = cf_pg_toc_encoding(toc);
	const char *begin = setting ? strchr(setting, '\'') : NULL;
	size_t len = begin ? strcspn(begin + 1, "'") : 0;

	snprintf(out, size, "%.*s", (int)(len < size ? len : 0), len ? begin + 1 : "");
}

/* The result and all it points to, in one allocation but for what was converted. */
struct decoded {
	struct cf_pg_toc toc;
	char *texts;
	int32_t *deps;
	char **converted;
	size_t n_converted, capacity;
};

void cf_pg_toc_free(struct cf_pg_toc *toc)
{
	struct decoded *decoded = (struct decoded *)toc;

	if (!decoded)
		return;
	for (size_t i = 0; i < decoded->n_converted; i++)
		free(decoded->converted[i]);
	free(decoded->converted);
	free(decoded->toc.entries);
	free(decoded->texts);
	free(decoded->deps);
	free(decoded);
}

static int read_entries(struct reader *r, struct cf_pg_toc *toc, struct cf_err *err)
{
	int32_t n = read_int(r);

	if (r->failed || n < 0 || (size_t)n > (size_t)(r->end - r->at) / ENTRY_LEN_MIN)
		return cf_err_set(err, CF_ERR_DAMAGED,
				  "the archive of pg_dump is cut off or damaged");
	toc->entries = calloc((size_t)n + 1, sizeof(*toc->entries));
	if (!toc->entries)
		return cf_err_nomem(err);
	toc->n_entries = (size_t)n;
	for (size_t i = 0; i < toc->n_entries; i++) {
		read_entry(r, toc->version, &toc->entries[i]);
		if (r->failed)
			return cf_err_set(err, CF_ERR_DAMAGED,
					  "entry %zu of pg_dump's archive is cut off or damaged",
					  i + 1);
	}
	return 0;
}

int cf_pg_toc_decode(struct cf_span archive, struct cf_pg_toc **toc_out, struct cf_err *err)
{
	struct decoded *decoded = calloc(1, sizeof(*decoded));
	struct reader r = {.at = archive.data, .end = archive.data + archive.len};
	int rc;

	if (!decoded)
		return cf_err_nomem(err);
	rc = read_magic(&r, &decoded->toc.version, err);
	if (rc < 0)
		goto out;
	decoded->texts = malloc(archive.len);
	decoded->deps = malloc((archive.len / INT_LEN + 1) * sizeof(*decoded->deps));
	if (!decoded->texts || !decoded->deps) {
		rc = cf_err_nomem(err);
		goto out;
	}
	r.texts = decoded->texts;
	r.deps = decoded->deps;
	read_head(&r, &decoded->toc);
	rc = read_entries(&r, &decoded->toc, err);
	if (rc < 0)
		goto out;
	*toc_out = &decoded->toc;
	decoded = NULL;
out:
	if (decoded)
		cf_pg_toc_free(&decoded->toc);
	return rc;
}

static bool is_ascii(const char *text)
{
	while (*text && !(*text & 0x80))
		text++;
	return !*text;
}

static int keep_text(struct decoded *decoded, const struct cf_buf *text, const char **text_out, struct cf_err *err)
{
	if (decoded->n_converted == decoded->capacity) {
		size_t capacity = decoded->capacity ? 2 * decoded->capacity : 64;
		char **converted = realloc(decoded->converted, capacity * sizeof(*converted));

		if (!converted)
			return cf_err_nomem(err);
		decoded->converted = converted;
		decoded->capacity = capacity;
	}
	*text_out = decoded->converted[decoded->n_converted] = strdup((const char *)text->data);
	if (!*text_out)
		return cf_err_nomem(err);
	decoded->n_converted++;
	return 0;
}

int cf_pg_toc_convert(struct cf_pg_toc *toc, cf_pg_toc_convert_fn *convert, void *user, struct cf_err *err)
{
	struct decoded *decoded = (struct decoded *)toc;
	struct cf_buf text = CF_BUF_INIT;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < toc->n_entries; i++) {
		struct cf_pg_toc_entry *entry = &toc->entries[i];
		const char **const texts[] = {&entry->tag,     &entry->defn,	   &entry->drop_stmt, &entry->copy_stmt,
					      &entry->nspname, &entry->tablespace, &entry->table_am,  &entry->owner};

		for (size_t k = 0; rc == 0 && k < sizeof(texts) / sizeof(texts[0]); k++) {
			if (!*texts[k] || is_ascii(*texts[k]))
				continue;
			cf_buf_clear(&text);
			rc = convert(user, *texts[k], &text, err);
			if (rc == 0 && text.len > 0)
				rc = keep_text(decoded, &text, texts[k], err);
		}
	}
	cf_buf_release(&text);
	return rc;
}
