#ifndef CF_REPO_SNAPSHOT_H
#define CF_REPO_SNAPSHOT_H

/* Snapshots: one object each, made by a commit and never changed. The id is the SHA-256 of the object. */

#include "base/id.h"
#include "base/stream.h"
#include "repo/content.h"
#include "repo/format/limits.h"

struct cf_err;
struct cf_repo;

/* What a backup did. */
struct cf_figures {
	uint64_t bytes_total;  /* what the source has: content of all entries, read or taken over from the parent, shared content once */
	uint64_t bytes_read;   /* what the source was read for */
	uint64_t bytes_stored; /* what the repository grew by, the snapshot object included */
	uint64_t chunks_new, chunks_delta, chunks_known;
	uint64_t files, dirs, others; /* entries */
	uint64_t files_unchanged;     /* files taken over from the parent unread */
	uint64_t duration_ns;
	uint64_t bytes_restored; /* what a restore writes: the same, shared content in each file that has it */
};

/* Not to be forgotten. */
struct cf_hold {
	int64_t since_ns;
	char *reason; /* "" when none was given */
};

struct cf_snapshot {
	struct cf_id id;
	int64_t time_ns; /* when the backup began */
	char *host, *user, *source, *driver, *program;
	char **tags; /* sorted, no duplicates */
	size_t n_tags;
	struct cf_fact *facts;
	size_t n_facts;
	struct cf_id parent;   /* zero when there is none */
	struct cf_id replaces; /* zero, or the snapshot this one stands for since its tags or hold were changed */
	bool has_signature, has_origin; /* the document has them */
	uint8_t signature[CF_SIGNATURE_LEN], origin[CF_SIGNATURE_LEN];
	bool is_signed;	       /* a full key says that it replaces the other */
	bool is_authentic;     /* a full key made the backup, so that unchanged files can be taken over from it */
	bool is_pretender;     /* what it says it replaces is there, and it is no version of it: set by cf_snapshots_load() */
	struct cf_hold *hold;  /* NULL: none. In a list that of an older version that is there counts as well */
	struct cf_content root; /* a directory block holding the root directory's own entry: use cf_tree_find */
	struct cf_figures figures;
	struct cf_id *history; /* newest snapshots the writer saw */
	size_t n_history;
	struct cf_audit_ref *audit; /* the newest audit records the writer saw; NULL: it did not look */
	size_t n_audit;
};

void cf_snapshot_free(struct cf_snapshot *snapshot);

/* All given conditions hold; {0} matches everything. */
struct cf_snapshot_filter {
	const char *host, *source;
	const char *const *tags; /* the snapshot has each of them */
	size_t n_tags;
};

struct cf_snapshot_list {
	struct cf_snapshot **items; /* oldest first */
	size_t n;
	struct cf_id *damaged; /* objects that could not be read: what they were is not known */
	size_t n_damaged;
	struct cf_id *quarantined; /* apart from those, what a repair has set aside: nobody's latest. Prune needs a decision of both */
	size_t n_quarantined;
};

/*
 * snapshot_version.c: whether one snapshot is another one with its tags or hold changed by somebody with a full key: 1, 0, or an error.
 * Whoever may write can store a snapshot that says so of any other, and tags and holds decide what is forgotten.
 */
int cf_snapshot_is_version_of(const struct cf_snapshot *newer, const struct cf_snapshot *older, struct cf_err *err);
/* For a snapshot just read: set is_signed and is_authentic. They are true, too, where nothing is signed, in repositories made without that
 * feature, and where the key in use cannot tell: one of role write from a slot of version 1. */
/* Sign a draft, if the key in use can. */
int cf_snapshot_sign_origin(struct cf_repo *repo, struct cf_snapshot *draft, struct cf_err *err);
int cf_snapshot_verify(const struct cf_repo *repo, struct cf_snapshot *snapshot, struct cf_err *err);

/* Older versions are left out. */
int cf_snapshots_load(struct cf_repo *repo, const struct cf_snapshot_filter *filter,
		      struct cf_snapshot_list *list_out, struct cf_err *err);
void cf_snapshot_list_release(struct cf_snapshot_list *list);
/* One that cannot be read, in quarantine or not, by the first digits of its id. */
bool cf_snapshot_find_damaged(const struct cf_snapshot_list *list, const char *text, struct cf_id *id_out);
/* A warning for each damaged object of the list. */
void cf_snapshot_list_warn(struct cf_repo *repo, const struct cf_snapshot_list *list);

/* An id, a prefix of at least 4 digits, or "latest", among those the filter admits. CF_ERR_NOT_FOUND;
 * CF_ERR_USAGE when a prefix fits several. CF_ERR_DAMAGED when the one named is damaged, or when "latest" is asked for while any is:
 * it might be the one. */
int cf_snapshot_resolve(struct cf_repo *repo, const char *text, const struct cf_snapshot_filter *filter,
			struct cf_snapshot **snapshot_out, struct cf_err *err);

/* snapshot_version.c: store the snapshot again with other tags: a new object and id, with `replaces` set. CF_ERR_KEY: the key in use may
 * only add. */
int cf_snapshot_set_tags(struct cf_repo *repo, const struct cf_snapshot *snapshot, const char *const *tags,
			 size_t n_tags, struct cf_id *new_id_out, struct cf_err *err);

/* The same with another hold, which is borrowed. NULL for none: older versions still hold it, see cf_forget_hold(). */
int cf_snapshot_set_hold(struct cf_repo *repo, const struct cf_snapshot *snapshot, const struct cf_hold *hold,
			 struct cf_id *new_id_out, struct cf_err *err);

/* One by its id. CF_ERR_DAMAGED naming the object. */
int cf_snapshot_load(struct cf_repo *repo, const struct cf_id *id, struct cf_snapshot **snapshot_out,
		     struct cf_err *err);

/* Give it tags, sorted, each once; it has none yet. */
int cf_snapshot_copy_tags(struct cf_snapshot *snapshot, const char *const *tags, size_t n, struct cf_err *err);

/* For the writer: a snapshot in the making. */
struct cf_writer_options;
int cf_snapshot_draft(const struct cf_writer_options *options, int64_t time_ns, struct cf_snapshot **draft_out,
		      struct cf_err *err);
int cf_snapshot_add_fact(struct cf_snapshot *draft, const char *key, const char *value, struct cf_err *err);
/* Vouch for the newest n of the list. */
int cf_snapshot_note_history(struct cf_snapshot *draft, const struct cf_snapshot_list *list, size_t n,
			     struct cf_err *err);
/* Vouch for the newest records of the audit log. That they cannot be read is a warning only. */
int cf_snapshot_note_audit(struct cf_repo *repo, struct cf_snapshot *draft, struct cf_err *err);
/* The commit: store it. Sets its id, and adds its own size to figures.bytes_stored. */
int cf_snapshot_put(struct cf_repo *repo, struct cf_snapshot *draft, struct cf_err *err);
bool cf_snapshot_matches(const struct cf_snapshot *snapshot, const struct cf_snapshot_filter *filter);

#endif
