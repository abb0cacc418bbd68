#ifndef CF_DRIVERS_POSTGRES_TOC_H
#define CF_DRIVERS_POSTGRES_TOC_H

/*
 * The table of contents of a pg_dump archive in the custom format (pg_dump -Fc), versions 1.12
 * to 1.16 (PostgreSQL 9.0 to 18), as ReadHead and ReadToc of pg_backup_archiver.c read it. An
 * archive made with -s is nothing else.
 *
 * The bytes are untrusted. What is allocated is bounded by a small multiple of the archive's
 * length.
 */

#include "base/buf.h"

#include <stdint.h>

struct cf_err;

enum cf_pg_section {
	CF_PG_SECTION_NONE = 1, /* belongs where it stands: ACL, COMMENT, DEFAULT ACL */
	CF_PG_SECTION_PRE_DATA = 2,
	CF_PG_SECTION_DATA = 3,
	CF_PG_SECTION_POST_DATA = 4
};

/* Text that the archive leaves out is NULL. */
struct cf_pg_toc_entry {
	int32_t dump_id;
	uint32_t table_oid, oid; /* the catalog and the object in it; 0 when there is none */
	enum cf_pg_section section;
	int relkind;	  /* 1.16: of a table-like object, else 0 */
	const char *tag;  /* name, for satellites after the table's: "orders orders_pkey" */
	const char *desc; /* "TABLE", "FK CONSTRAINT", ... */
	const char *defn; /* the SQL that makes it */
	const char *drop_stmt;
	const char *copy_stmt;
	const char *nspname; /* schema */
	const char *tablespace;
	const char *table_am;
	const char *owner;
	const int32_t *deps; /* dump ids */
	size_t n_deps;
};

struct cf_pg_toc {
	unsigned version;		 /* of the format: 0x010e for 1.14 */
	const char *database;		 /* that was dumped */
	const char *server_version;	 /* "15.20 (Debian 15.20-0+deb12u1)" */
	const char *program_version;	 /* of pg_dump */
	struct cf_pg_toc_entry *entries; /* in an order that fits their dependencies */
	size_t n_entries;
};

/* CF_ERR_UNSUPPORTED for other formats and versions, CF_ERR_DAMAGED for what is no archive. */
int cf_pg_toc_decode(struct cf_span archive, struct cf_pg_toc **toc_out, struct cf_err *err);
/* The statement that sets the encoding of the archive's texts, or NULL; and that encoding, "" when there is none. */
const char *cf_pg_toc_encoding(const struct cf_pg_toc *toc);
void cf_pg_toc_encoding_name(const struct cf_pg_toc *toc, char *out, size_t size);

/* Replaces each text that is not ASCII by what is appended to out, ended by NUL; by nothing: it stays. */
typedef int cf_pg_toc_convert_fn(void *user, const char *text, struct cf_buf *out, struct cf_err *err);
int cf_pg_toc_convert(struct cf_pg_toc *toc, cf_pg_toc_convert_fn *convert, void *user, struct cf_err *err);
void cf_pg_toc_free(struct cf_pg_toc *toc);

#endif
