#ifndef CF_REPO_AUDIT_H
#define CF_REPO_AUDIT_H

/*
 * The log of the commands that changed the repository.
 *
 * Each record names those that no record named before (docs/format.md, "Audit records"), so records
 * that are altered, damaged or removed leave a gap that cf_audit_verify() finds. Writers at the
 * same time make branches, which the next record joins: there is no lock, nothing is overwritten,
 * and any role may append. Snapshots name the newest records, too, so that the end of the log
 * cannot be cut off unseen. Records are stored 32 to a folder, so that whoever looks for the newest
 * ones opens few.
 */

#include "repo/format/audit_doc.h"
#include "repo/object.h"

struct cf_snapshot;

/* The readable records of the two newest folders that none of these names, but for forged ones. free() *refs_out. */
int cf_audit_heads(struct cf_repo *repo, struct cf_audit_ref **refs_out, size_t *n_out,
		   struct cf_err *err);

/* Store a record. The caller fills host, user, command, status, error, about and figures; the rest
 * is set here, and the caller's to release. */
int cf_audit_append(struct cf_repo *repo, struct cf_audit_record *record, struct cf_err *err);

/* An object of the log that cannot be used. */
struct cf_audit_bad {
	struct cf_object_name name;
	char *problem;
};

struct cf_audit_log {
	struct cf_audit_record *items; /* by time, those of one time by number */
	size_t n;
	struct cf_audit_bad *bad;
	size_t n_bad;
	struct cf_audit_place *places; /* where each object was found, by id */
	size_t n_places;
};

/* All records. */
int cf_audit_load(struct cf_repo *repo, struct cf_audit_log *log_out, struct cf_err *err);
/* Only the records of the two newest folders, but for forged ones, in no order; nothing else of the log is filled. */
int cf_audit_load_newest(struct cf_repo *repo, struct cf_audit_log *log_out, struct cf_err *err);
void cf_audit_log_release(struct cf_audit_log *log);

/* Records that snapshots vouch for. Start with {0}. */
struct cf_audit_anchors {
	struct cf_audit_anchor *items;
	size_t n, capacity;
};

int cf_audit_anchors_add(struct cf_audit_anchors *anchors, const struct cf_snapshot *snapshot,
			 struct cf_err *err);
void cf_audit_anchors_release(struct cf_audit_anchors *anchors);

/* A finding: an object of the log, and what is wrong with it. */
typedef void cf_audit_fn(void *user, const char *object, const char *problem);

/* Whether the chain is whole. Snapshots of the anchors must have been listed before the log was
 * loaded. */
int cf_audit_verify(struct cf_repo *repo, const struct cf_audit_log *log,
		    const struct cf_audit_anchors *anchors, cf_audit_fn *fn, void *user,
		    struct cf_err *err);

/*
 * The highest number that a record in a log of n objects can have: numbers grow by one a record, and half of a log may be lost. Whoever
 * may append could use them up otherwise: what is above is named by no record, and reported.
 */
int64_t cf_audit_number_limit(size_t n);

/* The name of the object that a reference means. */
struct cf_object_name cf_audit_name(const struct cf_audit_ref *ref);

/* The inside, for repo/audit*.c: an object of the log. */
struct cf_audit_place {
	struct cf_id id;
	uint32_t folder;
};

struct cf_audit_anchor {
	struct cf_audit_ref ref;
	struct cf_id snapshot;
};

#define CF_AUDIT_FOLDER_LEN 32

#endif
