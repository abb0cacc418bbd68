#ifndef CF_DRIVERS_MYSQL_MANIFEST_SINK_H
#define CF_DRIVERS_MYSQL_MANIFEST_SINK_H

/* A sink that keeps the manifests of what a dump pushes, and nothing else. */

#include "base/buf.h"
#include "base/stream.h"

struct cf_mysql_manifest_sink;

/* NULL when memory is out. */
struct cf_mysql_manifest_sink *cf_mysql_manifest_sink_new(void);
void cf_mysql_manifest_sink_free(struct cf_mysql_manifest_sink *sink);
struct cf_sink *cf_mysql_manifest_sink_base(struct cf_mysql_manifest_sink *sink);

/* The texts of database.json that came. */
size_t cf_mysql_manifest_sink_count(const struct cf_mysql_manifest_sink *sink);
struct cf_span cf_mysql_manifest_sink_text(const struct cf_mysql_manifest_sink *sink, size_t index);

#endif
