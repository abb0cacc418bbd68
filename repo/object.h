#ifndef CF_REPO_OBJECT_H
#define CF_REPO_OBJECT_H

/*
 * Sealed objects that are not packs: index segments, snapshots and records. Stored under <folder>/<SHA-256 of the object>.
 * The object key is derived from the metadata key and the header's random key id.
 */

#include "base/buf.h"
#include "base/id.h"
#include "repo/format/seal.h"

struct cf_err;
struct cf_repo;

/* "index/", "snapshots/", "gc/forget/", ... and the id. */
struct cf_object_name {
	char s[80];
};
struct cf_object_name cf_object_name(enum cf_object_type type, const struct cf_id *id);

/* Seal plain. *id_out is the name, *stored_out (may be NULL) the size of the object. */
int cf_object_put(struct cf_repo *repo, enum cf_object_type type, struct cf_span plain,
		  struct cf_id *id_out, uint64_t *stored_out, struct cf_err *err);

/* Appends the plain bytes. CF_ERR_DAMAGED when it is not what was stored under that name. */
int cf_object_get(struct cf_repo *repo, enum cf_object_type type, const struct cf_id *id,
		  struct cf_buf *plain_out, struct cf_err *err);

/* Both for objects that are stored in a folder of their own choice. */
int cf_object_put_in(struct cf_repo *repo, enum cf_object_type type, const char *folder, struct cf_span plain,
		     struct cf_id *id_out, uint64_t *stored_out, struct cf_err *err);
int cf_object_get_in(struct cf_repo *repo, enum cf_object_type type, const char *folder, const struct cf_id *id,
		     struct cf_buf *plain_out, struct cf_err *err);
struct cf_object_name cf_object_name_in(const char *folder, const struct cf_id *id);

/* The ids of all objects of a type; others in the folder are passed over. free() it. */
int cf_object_list(struct cf_repo *repo, enum cf_object_type type, struct cf_id **ids_out, size_t *n_out,
		   struct cf_err *err);

/* True, and the id, when the name of an object is that of a pack. */
bool cf_object_is_pack(const char *object, struct cf_id *id_out);

/*
 * Every pack of the store; what else is in their folder is passed over. fn returns 0, or a code that ends the listing and is
 * returned, with err set.
 */
typedef int cf_object_pack_fn(void *user, const struct cf_id *name, uint64_t size, struct cf_err *err);
int cf_object_each_pack(struct cf_repo *repo, cf_object_pack_fn *fn, void *user, struct cf_err *err);

/* Remove an object, which may be gone already: somebody else removes the same. The store must be able to. */
int cf_object_remove(struct cf_repo *repo, enum cf_object_type type, const struct cf_id *id, struct cf_err *err);

#endif
