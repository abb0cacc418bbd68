#ifndef CF_DRIVERS_FILES_STACK_H
#define CF_DRIVERS_FILES_STACK_H

/*
 * The folders between the source's root and where the walk is.
 *
 * It grows on the heap, so depth costs no stack, and keeps only the deepest folders open, so it
 * costs few descriptors. One that was closed is opened again as ".." of its child and must be the
 * same device and inode; when it was moved meanwhile, by the names from the root, with the same
 * test.
 */

#include "base/stream.h"
#include "drivers/files/listing.h"

#include <sys/stat.h>

struct cf_files_frame {
	struct cf_files_listing listing;
	size_t next; /* of the listing: to be visited next */
	int fd;      /* -1: closed to spare descriptors */
	dev_t dev;
	ino_t ino;
	struct cf_dir *dir; /* the sink's */
	size_t path_len;    /* of the path down to here */
};

/* Start with {0}; the frame at depth 0 is the root. */
struct cf_files_stack {
	struct cf_files_frame *frames;
	size_t depth, capacity;
	struct cf_buf path; /* the path of the root and then of what is visited, ended by NUL */
};

void cf_files_stack_release(struct cf_files_stack *stack);

/* The deepest; NULL when empty. */
struct cf_files_frame *cf_files_stack_top(struct cf_files_stack *stack);

/* fd and listing become the stack's, also on failure. The path is as it is now. */
int cf_files_stack_push(struct cf_files_stack *stack, int fd, const struct stat *st,
			struct cf_files_listing *listing, struct cf_dir *dir, struct cf_err *err);

/* Leaves the deepest folder. The one above is open afterwards; if that fails, its fd stays -1. */
void cf_files_stack_pop(struct cf_files_stack *stack);

/* Make the path that of `name` in the deepest folder; NULL for the folder itself. */
int cf_files_stack_enter(struct cf_files_stack *stack, const char *name, struct cf_err *err);
const char *cf_files_stack_path(const struct cf_files_stack *stack);

#endif
