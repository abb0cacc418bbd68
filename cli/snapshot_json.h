#ifndef CF_CLI_SNAPSHOT_JSON_H
#define CF_CLI_SNAPSHOT_JSON_H

/* A snapshot and what made it, as JSON. */

#include "cli/doc.h"
#include "repo/snapshot.h"

void cf_snapshot_json_figures(struct cf_doc *object, const struct cf_figures *figures);

/* null for the zero id. */
void cf_snapshot_json_id(struct cf_doc *object, const char *key, const struct cf_id *id);

/* A whole document. */
struct cf_doc cf_snapshot_json(const struct cf_snapshot *snapshot);

#endif
