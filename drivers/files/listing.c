#include "drivers/files/listing.h"

#include "base/err.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 32768

void cf_files_listing_release(struct cf_files_listing *listing)
{
	cf_buf_release(&listing->bytes);
	free(listing->names);
	*listing = (struct cf_files_listing){0};
}

static int add_name(struct cf_files_listing *listing, const char *name, struct cf_err *err)
{
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	listing->n_names++;
	return cf_buf_append(&listing->bytes, name, strlen(name) + 1, err);
}

static int add_names(struct cf_files_listing *listing, const uint8_t *room, size_t len,
		     struct cf_err *err)
{
	int rc = 0;

	for (size_t at = 0; at < len && rc == 0;) {
		const struct dirent64 *entry = (const void *)(room + at);

		rc = add_name(listing, entry->d_name, err);
		at += entry->d_reclen;
	}
	return rc;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A folder that changes while it is read may give a name twice. */
static void sort_names(struct cf_files_listing *listing)
{
	size_t n = 0;

	if (listing->n_names > 1)
		qsort(listing->names, listing->n_names, sizeof(*listing->names), compare_names);
	for (size_t i = 0; i < listing->n_names; i++)
		if (n == 0 || strcmp(listing->names[n - 1], listing->names[i]) != 0)
			listing->names[n++] = listing->names[i];
	listing->n_names = n;
}

static int index_names(struct cf_files_listing *listing, struct cf_err *err)
{
	const char *at = (const char *)listing->bytes.data;

	listing->names = calloc(listing->n_names + 1, sizeof(*listing->names));
	if (!listing->names)
		return cf_err_nomem(err);
	for (size_t i = 0; i < listing->n_names; i++) {
		listing->names[i] = at;
		at += strlen(at) + 1;
	}
	sort_names(listing);
	return 0;
}

int cf_files_listing_read(int dir_fd, struct cf_files_listing *listing, int *read_errno_out,
			  struct cf_err *err)
{
	_Alignas(struct dirent64) uint8_t room[ROOM];
	ssize_t n;
	int rc = 0;

	*read_errno_out = 0;
	while (rc == 0 && (n = getdents64(dir_fd, room, sizeof(room))) != 0) {
		if (n < 0) {
			*read_errno_out = errno;
			break;
		}
		rc = add_names(listing, room, (size_t)n, err);
	}
	if (rc == 0)
		rc = index_names(listing, err);
	return rc;
}

int cf_files_listing_one(struct cf_files_listing *listing, const char *name, struct cf_err *err)
{
	int rc = add_name(listing, name, err);

	return rc < 0 ? rc : index_names(listing, err);
}
