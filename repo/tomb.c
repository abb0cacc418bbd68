#include "repo/tomb.h"

#include "base/err.h"
#include "repo/handle.h"
#include "repo/object.h"

#include <stdlib.h>

static int load_one(struct cf_repo *repo, const struct cf_id *id, struct cf_tomb_doc *doc_out, struct cf_err *err)
{
	struct cf_buf doc = CF_BUF_INIT;
	int rc = cf_object_get(repo, CF_OBJECT_TOMB, id, &doc, err);

	if (rc == 0) {
		rc = cf_tomb_decode(cf_buf_span(&doc), doc_out, err);
		if (rc < 0)
			cf_err_wrap(err, "%s", cf_object_name(CF_OBJECT_TOMB, id).s);
	}
	cf_buf_release(&doc);
	return rc;
}

int cf_tombs_load(struct cf_repo *repo, struct cf_tombs *tombs_out, struct cf_err *err)
{
	struct cf_tombs tombs = {0};
	struct cf_id *ids = NULL;
	size_t n = 0;
	int rc = cf_object_list(repo, CF_OBJECT_TOMB, &ids, &n, err);

	if (rc == 0 && (!(tombs.items = calloc(n + 1, sizeof(*tombs.items))) ||
			!(tombs.damaged = calloc(n + 1, sizeof(*tombs.damaged)))))
		rc = cf_err_nomem(err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct cf_tomb *tomb = &tombs.items[tombs.n];

		tomb->id = ids[i];
		rc = load_one(repo, &ids[i], &tomb->doc, err);
		if (rc == 0)
			tombs.n++;
		if (rc == CF_ERR_DAMAGED) {
			cf_ctx_warn(repo->ctx, "tomb.damaged", cf_object_name(CF_OBJECT_TOMB, &ids[i]).s,
				    "%s: what it condemned stays; coffer prune --now --yes, while nothing else works, removes it",
				    err ? err->text : "damaged");
			tombs.damaged[tombs.n_damaged++] = ids[i];
		}
		if (rc == CF_ERR_DAMAGED || rc == CF_ERR_NOT_FOUND) { /* not found: its packs are gone, and so is it */
			cf_err_clear(err);
			rc = 0;
		}
	}
	free(ids);
	if (rc < 0) {
		cf_tombs_release(&tombs);
		return rc;
	}
	*tombs_out = tombs;
	return 0;
}

void cf_tombs_release(struct cf_tombs *tombs)
{
	for (size_t i = 0; i < tombs->n; i++)
		cf_tomb_doc_release(&tombs->items[i].doc);
	free(tombs->items);
	free(tombs->damaged);
	*tombs = (struct cf_tombs){0};
}

int cf_tombs_add_packs(const struct cf_tombs *tombs, struct cf_id_set *packs, struct cf_err *err)
{
	for (size_t i = 0; i < tombs->n; i++) {
		const struct cf_tomb_doc *doc = &tombs->items[i].doc;

		for (size_t k = 0; k < doc->n_packs; k++)
			if (cf_id_set_add(packs, &doc->packs[k]) < 0)
				return cf_err_nomem(err);
	}
	return 0;
}
