#include "fuse/shots.h"

#include "base/err.h"
#include "repo/repo.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	FRESH_S = 3 /* how long a list is taken for true */
};

struct cf_shots {
	struct cf_repo *repo;
	const struct cf_snapshot_filter *filter;
	pthread_mutex_t lock;
	struct cf_shot_list *list;
	struct cf_id *damaged; /* what was warned of */
	size_t n_damaged;
	struct timespec read; /* when */
};

void cf_shot_release(struct cf_shot *shot)
{
	if (!shot || atomic_fetch_sub(&shot->n_users, 1) > 1)
		return;
	cf_snapshot_free(shot->snapshot);
	free(shot);
}

struct cf_shot *cf_shot_share(struct cf_shot *shot)
{
	atomic_fetch_add(&shot->n_users, 1);
	return shot;
}

static void name_shot(struct cf_shot *shot)
{
	time_t seconds = (time_t)(shot->snapshot->time_ns / 1000000000);
	char text[40] = "unknown";
	struct tm utc;

	if (gmtime_r(&seconds, &utc))
		strftime(text, sizeof(text), "%Y-%m-%dT%H-%M-%SZ", &utc);
	snprintf(shot->name, sizeof(shot->name), "%s-%.8s", text, cf_id_text(&shot->snapshot->id).s);
}

int cf_shot_new(struct cf_snapshot *snapshot, struct cf_shot **shot_out, struct cf_err *err)
{
	struct cf_shot *shot = calloc(1, sizeof(*shot));

	if (!shot) {
		cf_snapshot_free(snapshot);
		return cf_err_nomem(err);
	}
	atomic_init(&shot->n_users, 1);
	shot->snapshot = snapshot;
	name_shot(shot);
	*shot_out = shot;
	return 0;
}

void cf_shot_list_release(struct cf_shot_list *list)
{
	if (!list || atomic_fetch_sub(&list->n_users, 1) > 1)
		return;
	for (size_t i = 0; i < list->n; i++)
		cf_shot_release(list->items[i]);
	free(list->items);
	free(list);
}

/* Those of the last list stay the same objects, so that what is open in them stays comparable. */
static struct cf_shot *find_same(const struct cf_shot_list *last, const struct cf_id *id)
{
	for (size_t i = 0; last && i < last->n; i++)
		if (cf_id_equal(&last->items[i]->snapshot->id, id))
			return last->items[i];
	return NULL;
}

static int make_list(struct cf_snapshot_list *loaded, const struct cf_shot_list *last,
		     struct cf_shot_list **list_out, struct cf_err *err)
{
	struct cf_shot_list *list = calloc(1, sizeof(*list));
	int rc = 0;

	if (!list)
		return cf_err_nomem(err);
	atomic_init(&list->n_users, 1);
	list->items = calloc(loaded->n + 1, sizeof(struct cf_shot *));
	if (!list->items)
		rc = cf_err_nomem(err);
	for (size_t i = 0; rc == 0 && i < loaded->n; i++) {
		struct cf_shot *same = find_same(last, &loaded->items[i]->id);

		if (same) {
			list->items[list->n++] = cf_shot_share(same);
			continue;
		}
		rc = cf_shot_new(loaded->items[i], &list->items[list->n], err);
		loaded->items[i] = NULL;
		list->n += rc == 0;
	}
	if (rc < 0) {
		cf_shot_list_release(list);
		return rc;
	}
	*list_out = list;
	return 0;
}

static bool was_damaged(const struct cf_shots *shots, const struct cf_id *id)
{
	for (size_t i = 0; i < shots->n_damaged; i++)
		if (cf_id_equal(&shots->damaged[i], id))
			return true;
	return false;
}

/* Each snapshot once, and again when it was whole in between. Takes the list of them over. */
static void warn_damaged(struct cf_shots *shots, struct cf_snapshot_list *loaded)
{
	for (size_t i = 0; i < loaded->n_damaged; i++) {
		const struct cf_snapshot_list one = {.damaged = &loaded->damaged[i], .n_damaged = 1};

		if (!was_damaged(shots, &loaded->damaged[i]))
			cf_snapshot_list_warn(shots->repo, &one);
	}
	free(shots->damaged);
	shots->damaged = loaded->damaged;
	shots->n_damaged = loaded->n_damaged;
	loaded->damaged = NULL;
	loaded->n_damaged = 0;
}

static int read_list(struct cf_shots *shots, struct cf_err *err)
{
	struct cf_snapshot_list loaded = {0};
	struct cf_shot_list *list = NULL;
	int rc = cf_repo_find_again(shots->repo, err);

	if (rc == 0)
		rc = cf_snapshots_load(shots->repo, shots->filter, &loaded, err);
	if (rc == 0) {
		warn_damaged(shots, &loaded);
		rc = make_list(&loaded, shots->list, &list, err);
	}
	cf_snapshot_list_release(&loaded);
	if (rc < 0)
		return rc;
	cf_shot_list_release(shots->list);
	shots->list = list;
	return 0;
}

int cf_shots_new(struct cf_repo *repo, const struct cf_snapshot_filter *filter, struct cf_shots **shots_out,
		 struct cf_err *err)
{
	struct cf_shots *shots = calloc(1, sizeof(*shots));
	int rc;

	if (!shots)
		return cf_err_nomem(err);
	shots->repo = repo;
	shots->filter = filter;
	pthread_mutex_init(&shots->lock, NULL);
	rc = read_list(shots, err);
	clock_gettime(CLOCK_MONOTONIC, &shots->read);
	if (rc < 0) {
		cf_shots_free(shots);
		return rc;
	}
	*shots_out = shots;
	return 0;
}

void cf_shots_free(struct cf_shots *shots)
{
	if (!shots)
		return;
	cf_shot_list_release(shots->list);
	free(shots->damaged);
	pthread_mutex_destroy(&shots->lock);
	free(shots);
}

int cf_shots_list(struct cf_shots *shots, struct cf_shot_list **list_out, struct cf_err *err)
{
	struct timespec now;
	int rc = 0;

	pthread_mutex_lock(&shots->lock);
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec - shots->read.tv_sec >= FRESH_S) {
		rc = read_list(shots, err);
		shots->read = now;
	}
	atomic_fetch_add(&shots->list->n_users, 1);
	*list_out = shots->list;
	pthread_mutex_unlock(&shots->lock);
	return rc;
}
