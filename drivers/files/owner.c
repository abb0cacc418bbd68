#include "drivers/files/owner.h"

#include "base/err.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* More than a record needs anywhere: a larger one counts as nameless. */
#define RECORD_MAX (1U << 20)

struct known {
	uint32_t number;
	char *name; /* NULL: none */
};

/* 0, ERANGE when the room is too small, or another errno; *name_out points into room, or NULL. */
typedef int look_up_fn(uint32_t number, char *room, size_t room_len, const char **name_out);

static int look_up_user(uint32_t uid, char *room, size_t room_len, const char **name_out)
{
	struct passwd record, *found = NULL;
	int failed = getpwuid_r(uid, &record, room, room_len, &found);

	*name_out = found ? record.pw_name : NULL;
	return failed;
}

static int look_up_group(uint32_t gid, char *room, size_t room_len, const char **name_out)
{
	struct group record, *found = NULL;
	int failed = getgrgid_r(gid, &record, room, room_len, &found);

	*name_out = found ? record.gr_name : NULL;
	return failed;
}

/* A failing name service is no reason to fail a backup: numbers are what counts. */
static int find_name(look_up_fn *look_up, uint32_t number, char **name_out, struct cf_err *err)
{
	const char *name = NULL;
	char *room = NULL;
	int failed = ERANGE, rc = 0;

	for (size_t len = 1024; failed == ERANGE && len <= RECORD_MAX; len *= 4) {
		free(room);
		room = malloc(len);
		if (!room)
			return cf_err_nomem(err);
		failed = look_up(number, room, len, &name);
	}
	if (failed == 0 && name) {
		*name_out = strdup(name);
		rc = *name_out ? 0 : cf_err_nomem(err);
	}
	free(room);
	return rc;
}

static int compare_known(const void *a, const void *b)
{
	uint32_t x = ((const struct known *)a)->number, y = ((const struct known *)b)->number;

	return x < y ? -1 : x > y;
}

static void free_known(void *node)
{
	struct known *known = node;

	free(known->name);
	free(known);
}

static int get_name(void **tree, look_up_fn *look_up, uint32_t number, const char **name_out,
		    struct cf_err *err)
{
	const struct known key = {.number = number};
	struct known *const *found = tfind(&key, tree, compare_known);
	struct known *known;
	int rc;

	if (found) {
		*name_out = (*found)->name;
		return 0;
	}
	known = calloc(1, sizeof(*known));
	if (!known)
		return cf_err_nomem(err);
	known->number = number;
	rc = find_name(look_up, number, &known->name, err);
	if (rc == 0 && !tsearch(known, tree, compare_known))
		rc = cf_err_nomem(err);
	if (rc < 0)
		free_known(known);
	else
		*name_out = known->name;
	return rc;
}

int cf_files_owner_user(struct cf_files_owner *owner, uint32_t uid, const char **name_out,
			struct cf_err *err)
{
	return get_name(&owner->users, look_up_user, uid, name_out, err);
}

int cf_files_owner_group(struct cf_files_owner *owner, uint32_t gid, const char **name_out,
			 struct cf_err *err)
{
	return get_name(&owner->groups, look_up_group, gid, name_out, err);
}

void cf_files_owner_release(struct cf_files_owner *owner)
{
	tdestroy(owner->users, free_known);
	tdestroy(owner->groups, free_known);
	*owner = (struct cf_files_owner){0};
}
