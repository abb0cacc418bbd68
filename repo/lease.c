#include "repo/lease.h"

#include "base/err.h"
#include "repo/content.h"
#include "repo/handle.h"
#include "repo/object.h"

#include <stdlib.h>
#include <time.h>

enum {
	RENEW_S = 600
};

struct cf_lease {
	struct cf_repo *repo;
	struct cf_lease_doc doc; /* of the object stored last */
	pthread_mutex_t lock;	 /* everything below, and doc */
	struct cf_id *objects;	 /* the fence first */
	size_t n_objects;
	int64_t renewed_s; /* since the machine started, sleep included */
	struct cf_id intent;
	bool has_intent;
};

static int64_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec;
}

/* One more object of the run, as doc says. Called with the lock held, or by the only thread. */
static int put_lease(struct cf_lease *lease, struct cf_err *err)
{
	struct cf_id *objects = realloc(lease->objects, (lease->n_objects + 1) * sizeof(*objects));
	struct cf_buf plain = CF_BUF_INIT;
	int rc;

	if (!objects)
		return cf_err_nomem(err);
	lease->objects = objects;
	lease->doc.time_ns = cf_ctx_now_ns(lease->repo->ctx);
	rc = cf_lease_encode(&lease->doc, &plain, err);
	if (rc == 0)
		rc = cf_object_put(lease->repo, CF_OBJECT_LEASE, cf_buf_span(&plain), &objects[lease->n_objects], NULL,
				   err);
	cf_buf_release(&plain);
	if (rc < 0)
		return rc;
	lease->n_objects++;
	lease->doc.number++;
	lease->renewed_s = now_s();
	return 0;
}

int cf_lease_begin(struct cf_repo *repo, const struct cf_lease_options *options, struct cf_lease **lease_out,
		   struct cf_err *err)
{
	struct cf_lease *lease = calloc(1, sizeof(*lease));
	int rc;

	if (!lease)
		return cf_err_nomem(err);
	lease->repo = repo;
	pthread_mutex_init(&lease->lock, NULL);
	cf_random(lease->doc.run, sizeof(lease->doc.run));
	lease->doc.is_prune = options->is_prune;
	lease->doc.host = strdup(options->host);
	lease->doc.user = strdup(options->user);
	lease->doc.source = strdup(options->source);
	rc = lease->doc.host && lease->doc.user && lease->doc.source ? put_lease(lease, err) : cf_err_nomem(err);
	if (rc < 0) {
		cf_lease_end(lease);
		return rc;
	}
	*lease_out = lease;
	return 0;
}

int cf_lease_note_tombs(struct cf_lease *lease, const struct cf_tombs *tombs, struct cf_err *err)
{
	struct cf_id *seen;
	int rc;

	if (tombs->n == 0)
		return 0;
	seen = calloc(tombs->n, sizeof(*seen));
	if (!seen)
		return cf_err_nomem(err);
	for (size_t i = 0; i < tombs->n; i++)
		seen[i] = tombs->items[i].id;
	pthread_mutex_lock(&lease->lock);
	free(lease->doc.seen);
	lease->doc.seen = seen;
	lease->doc.n_seen = tombs->n;
	rc = put_lease(lease, err);
	pthread_mutex_unlock(&lease->lock);
	return rc;
}

static int remove_object(struct cf_repo *repo, enum cf_object_type type, const struct cf_id *id, struct cf_err *err)
{
	struct cf_backend *store = repo->backend;

	if (!store->ops->remove || !(store->caps & CF_BACKEND_CAN_REMOVE))
		return CF_ERR_UNSUPPORTED;
	return store->ops->remove(store, cf_object_name(type, id).s, err);
}

void cf_lease_renew(struct cf_lease *lease)
{
	struct cf_err err = CF_ERR_INIT;

	if (pthread_mutex_trylock(&lease->lock) != 0)
		return;
	if (now_s() - lease->renewed_s >= RENEW_S) {
		if (put_lease(lease, &err) == 0 && lease->n_objects > 2) {
			/* The one before has served. */
			remove_object(lease->repo, CF_OBJECT_LEASE, &lease->objects[lease->n_objects - 2], NULL);
			lease->objects[lease->n_objects - 2] = lease->objects[lease->n_objects - 1];
			lease->n_objects--;
		} else {
			lease->renewed_s = now_s();
		}
	}
	pthread_mutex_unlock(&lease->lock);
}

static int look_for_fence(struct cf_lease *lease, struct cf_err *err)
{
	struct cf_backend *store = lease->repo->backend;
	uint64_t size;
	int rc = store->ops->size(store, cf_object_name(CF_OBJECT_LEASE, &lease->objects[0]).s, &size, err);

	if (rc != CF_ERR_NOT_FOUND)
		return rc;
	return cf_err_set(err, CF_ERR_BUSY,
			  "a prune has removed data meanwhile that this backup may need (it gave the backup up, or was told "
			  "that none was running): back up again");
}

int cf_lease_declare(struct cf_lease *lease, const struct cf_content *root, struct cf_err *err)
{
	struct cf_intent_doc doc = {.time_ns = cf_ctx_now_ns(lease->repo->ctx),
				    .root = root->id,
				    .root_size = root->size,
				    .root_level = root->level};
	struct cf_buf plain = CF_BUF_INIT;
	int rc;

	memcpy(doc.run, lease->doc.run, sizeof(doc.run));
	rc = cf_intent_encode(&doc, &plain, err);
	if (rc == 0)
		rc = cf_object_put(lease->repo, CF_OBJECT_INTENT, cf_buf_span(&plain), &lease->intent, NULL, err);
	cf_buf_release(&plain);
	if (rc < 0)
		return rc;
	lease->has_intent = true;
	return look_for_fence(lease, err);
}

const struct cf_id *cf_lease_fence(const struct cf_lease *lease)
{
	return &lease->objects[0];
}

bool cf_lease_is_of(const struct cf_lease *lease, const struct cf_run *run)
{
	return memcmp(lease->doc.run, run->id, CF_RUN_ID_LEN) == 0;
}

static bool is_refusal(int rc)
{
	return rc == CF_ERR_ACCESS || rc == CF_ERR_UNSUPPORTED;
}

/* What cannot be removed now is in nobody's way, and a prune will. */
static void remove_all(struct cf_lease *lease)
{
	bool is_refused = false;

	if (lease->has_intent)
		is_refused = is_refusal(remove_object(lease->repo, CF_OBJECT_INTENT, &lease->intent, NULL));
	for (size_t i = lease->n_objects; i > 0; i--)
		is_refused |= is_refusal(remove_object(lease->repo, CF_OBJECT_LEASE, &lease->objects[i - 1], NULL));
	lease->doc.is_ended = true;
	if (is_refused && lease->n_objects)
		put_lease(lease, NULL);
}

void cf_lease_end(struct cf_lease *lease)
{
	if (!lease)
		return;
	remove_all(lease);
	cf_lease_doc_release(&lease->doc);
	pthread_mutex_destroy(&lease->lock);
	free(lease->objects);
	free(lease);
}

static int load_doc(struct cf_repo *repo, enum cf_object_type type, const struct cf_id *id, struct cf_buf *plain,
		    struct cf_err *err)
{
	cf_buf_clear(plain);
	return cf_object_get(repo, type, id, plain, err);
}

static struct cf_run *find_run(struct cf_runs *runs, const uint8_t id[CF_RUN_ID_LEN])
{
	for (size_t i = 0; i < runs->n; i++)
		if (memcmp(runs->items[i].id, id, CF_RUN_ID_LEN) == 0)
			return &runs->items[i];
	return NULL;
}

/* The run of a lease; what its texts say moves into a new one. */
static struct cf_run *run_of(struct cf_runs *runs, struct cf_lease_doc *doc)
{
	struct cf_run *run = find_run(runs, doc->run), *items;

	if (run)
		return run;
	items = realloc(runs->items, (runs->n + 1) * sizeof(*items));
	if (!items)
		return NULL;
	runs->items = items;
	run = &items[runs->n++];
	*run = (struct cf_run){.is_prune = doc->is_prune,
			       .host = doc->host,
			       .user = doc->user,
			       .source = doc->source,
			       .begun_ns = doc->time_ns};
	memcpy(run->id, doc->run, sizeof(run->id));
	doc->host = doc->user = doc->source = NULL;
	return run;
}

static int note_lease(struct cf_runs *runs, const struct cf_id *id, struct cf_lease_doc *doc, int64_t stored_ns,
		      struct cf_err *err)
{
	struct cf_run *run = run_of(runs, doc);
	struct cf_id *objects = run ? realloc(run->objects, (run->n_objects + 1) * sizeof(*objects)) : NULL;

	if (!objects)
		return cf_err_nomem(err);
	run->objects = objects;
	objects[run->n_objects++] = *id;
	if (doc->number == 0) {
		run->has_fence = true;
		run->fence = *id;
	}
	run->is_ended |= doc->is_ended;
	if (doc->time_ns < run->begun_ns)
		run->begun_ns = doc->time_ns;
	if (run->n_objects == 1 || stored_ns > run->heard_ns)
		run->heard_ns = stored_ns;
	for (size_t i = 0; i < doc->n_seen; i++)
		if (cf_id_set_add(&run->seen, &doc->seen[i]) < 0)
			return cf_err_nomem(err);
	return 0;
}

/* A lease as it is stored. A damaged one may be the fence of any run. */
static int read_lease(struct cf_repo *repo, const struct cf_id *id, struct cf_buf *plain, struct cf_lease_doc *doc_out,
		      struct cf_err *err)
{
	int rc = load_doc(repo, CF_OBJECT_LEASE, id, plain, err);

	if (rc == 0)
		rc = cf_lease_decode(cf_buf_span(plain), doc_out, err);
	if (rc != CF_ERR_DAMAGED)
		return rc;
	cf_ctx_warn(repo->ctx, "lease.damaged", cf_object_name(CF_OBJECT_LEASE, id).s,
		    "%s is damaged: whose it is is not known", cf_object_name(CF_OBJECT_LEASE, id).s);
	cf_err_clear(err);
	*doc_out = (struct cf_lease_doc){.host = strdup("?"), .user = strdup("?"), .source = strdup("?")};
	memcpy(doc_out->run, id->bytes, sizeof(doc_out->run));
	return doc_out->host && doc_out->user && doc_out->source ? 0 : cf_err_nomem(err);
}

int cf_runs_load(struct cf_repo *repo, struct cf_runs *runs_out, struct cf_err *err)
{
	struct cf_backend *store = repo->backend;
	struct cf_runs runs = {0};
	struct cf_buf plain = CF_BUF_INIT;
	struct cf_id *ids = NULL;
	size_t n = 0;
	int rc = cf_object_list(repo, CF_OBJECT_LEASE, &ids, &n, err);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct cf_object_name name = cf_object_name(CF_OBJECT_LEASE, &ids[i]);
		struct cf_lease_doc doc = {0};
		int64_t stored_ns;

		rc = read_lease(repo, &ids[i], &plain, &doc, err);
		if (rc == 0)
			rc = store->ops->time(store, name.s, &stored_ns, err);
		if (rc == 0)
			rc = note_lease(&runs, &ids[i], &doc, stored_ns, err);
		cf_lease_doc_release(&doc);
		if (rc == CF_ERR_NOT_FOUND) { /* the run has ended */
			cf_err_clear(err);
			rc = 0;
		}
	}
	free(ids);
	cf_buf_release(&plain);
	if (rc < 0) {
		cf_runs_release(&runs);
		return rc;
	}
	*runs_out = runs;
	return 0;
}

void cf_runs_release(struct cf_runs *runs)
{
	for (size_t i = 0; i < runs->n; i++) {
		free(runs->items[i].host);
		free(runs->items[i].user);
		free(runs->items[i].source);
		free(runs->items[i].objects);
		cf_id_set_release(&runs->items[i].seen);
	}
	free(runs->items);
	*runs = (struct cf_runs){0};
}

int cf_run_shut_out(struct cf_repo *repo, const struct cf_run *run, struct cf_err *err)
{
	int rc = run->has_fence ? cf_object_remove(repo, CF_OBJECT_LEASE, &run->fence, err) : 0;

	for (size_t i = 0; rc == 0 && i < run->n_objects; i++)
		if (!run->has_fence || !cf_id_equal(&run->objects[i], &run->fence))
			rc = cf_object_remove(repo, CF_OBJECT_LEASE, &run->objects[i], err);
	return rc;
}

int cf_intents_load(struct cf_repo *repo, struct cf_intent **intents_out, size_t *n_out, struct cf_err *err)
{
	struct cf_intent *intents = NULL;
	struct cf_buf plain = CF_BUF_INIT;
	struct cf_id *ids = NULL;
	size_t n = 0, n_loaded = 0;
	int rc = cf_object_list(repo, CF_OBJECT_INTENT, &ids, &n, err);

	if (rc == 0 && !(intents = calloc(n + 1, sizeof(*intents))))
		rc = cf_err_nomem(err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		intents[n_loaded].id = ids[i];
		rc = load_doc(repo, CF_OBJECT_INTENT, &ids[i], &plain, err);
		if (rc == 0) {
			rc = cf_intent_decode(cf_buf_span(&plain), &intents[n_loaded].doc, err);
			if (rc < 0)
				cf_err_wrap(err, "%s", cf_object_name(CF_OBJECT_INTENT, &ids[i]).s);
		}
		if (rc == 0)
			n_loaded++;
		if (rc == CF_ERR_NOT_FOUND) { /* committed, or given up */
			cf_err_clear(err);
			rc = 0;
		}
	}
	free(ids);
	cf_buf_release(&plain);
	if (rc < 0) {
		free(intents);
		return rc;
	}
	*intents_out = intents;
	*n_out = n_loaded;
	return 0;
}
