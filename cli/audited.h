#ifndef CF_CLI_AUDITED_H
#define CF_CLI_AUDITED_H

/*
 * The audit record of a command that changes the repository: filled while the command runs, and
 * stored at its end, whether it went well or not.
 *
 *     cf_audited_begin(&audited, cli, NULL);
 *     rc = change(repo, &figures, err);
 *     cf_audited_figure(&audited, "packs_removed", figures.packs);
 *     rc = cf_audited_end(&audited, repo, rc, err);
 *
 * Filling it never fails in between, as with cf_doc. Passwords in URLs are taken out. A command
 * that stores a snapshot names it by cf_audited_id(.., "snapshot", ..): `audit --verify` looks for
 * that.
 */

#include "repo/audit.h"

struct cf_cli;

struct cf_audited {
	struct cf_cli *cli;
	struct cf_audit_record record;
	uint64_t n_warnings; /* there were before */
	int64_t begun_ns;
	bool is_optional; /* set by the caller: that it cannot be stored is no warning */
	bool has_failed;  /* no memory */
};

/* action: NULL, or a second word behind the command's name: "add". */
void cf_audited_begin(struct cf_audited *audited, struct cf_cli *cli, const char *action);

/* Keys are what docs/guide/audit.md lists: "source", "snapshot", "key" ... */
void cf_audited_about(struct cf_audited *audited, const char *key, const char *value);
void cf_audited_id(struct cf_audited *audited, const char *key, const struct cf_id *id);
void cf_audited_figure(struct cf_audited *audited, const char *key, uint64_t value);

/*
 * Store it and release it; gives rc back. rc and err say how the command ended; err is not changed.
 * A record that cannot be stored is a warning when the command went well. repo NULL: it was not
 * opened, and nothing is stored.
 */
int cf_audited_end(struct cf_audited *audited, struct cf_repo *repo, int rc,
		   const struct cf_err *err);
/* Instead of that when nothing was to be changed. */
void cf_audited_drop(struct cf_audited *audited);

#endif
