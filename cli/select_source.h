#ifndef CF_CLI_SELECT_SOURCE_H
#define CF_CLI_SELECT_SOURCE_H

/* The source that somebody means by what was typed. */

struct cf_err;
struct cf_snapshot_list;

/*
 * As snapshots in the list have it, or as it was typed for a backup. *source_out is a name of the list, or, when none is meant, what a
 * backup would be called as far as that is known; then *hint_out says so and names those that are near (NULL when the list is empty).
 * CF_ERR_USAGE when several may be meant.
 */
int cf_select_source(const struct cf_snapshot_list *list, const char *text, char **source_out, char **hint_out,
		     struct cf_err *err);

#endif
