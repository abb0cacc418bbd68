#ifndef CF_REPO_VERIFIED_H
#define CF_REPO_VERIFIED_H

/*
 * What checks on this host have found, and what it has stored: when each pack was last read whole, and whether it was good; and which snapshots and
 * records there were. A SQLite file beside the local index. A cache like that one: rows carry checksums, damage is answered by
 * an empty file, and losing it costs no more than reading again.
 *
 * Not thread-safe.
 */

#include "base/id.h"

struct cf_err;
struct cf_repo;
struct cf_verified;

/* A file that cannot be used is replaced by an empty one, or by one in memory with a note; only CF_ERR_NOMEM fails. */
int cf_verified_open(struct cf_repo *repo, struct cf_verified **verified_out, struct cf_err *err);
void cf_verified_close(struct cf_verified *verified);
/* Its file, for messages. */
const char *cf_verified_path(const struct cf_verified *verified);
/* Remember a snapshot that this host has stored, if it keeps such a file. Losing it costs no more than the file. */
void cf_verified_stored(struct cf_repo *repo, const struct cf_id *snapshot);

/* Every pack noted; a row that fails its checksum is passed over. Non-zero stops and is returned. */
typedef int cf_verified_fn(void *user, const struct cf_id *pack, int64_t time_ns, bool is_good);
int cf_verified_each(struct cf_verified *verified, cf_verified_fn *fn, void *user);

/* A result, and that a pack is gone. What cannot be kept is lost, with a note. */
void cf_verified_note(struct cf_verified *verified, const struct cf_id *pack, int64_t time_ns, bool is_good);
void cf_verified_drop(struct cf_verified *verified, const struct cf_id *pack);

/* Objects that were there, by name ("snapshots/.."). */
typedef int cf_verified_seen_fn(void *user, const char *object);
int cf_verified_each_seen(struct cf_verified *verified, cf_verified_seen_fn *fn, void *user);
void cf_verified_saw(struct cf_verified *verified, const char *object);
void cf_verified_unsee(struct cf_verified *verified, const char *object);
/* Changes between these two are one, and so fast. */
void cf_verified_begin(struct cf_verified *verified);
void cf_verified_end(struct cf_verified *verified);

#endif
