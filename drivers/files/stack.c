#include "drivers/files/stack.h"

#include "base/err.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Open folders at most, with the root. */
#define OPEN_MAX_FRAMES 48

#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static void close_frame(struct cf_files_frame *frame)
{
	if (frame->fd >= 0)
		close(frame->fd);
	frame->fd = -1;
}

static void drop_top(struct cf_files_stack *stack)
{
	struct cf_files_frame *top = &stack->frames[--stack->depth];

	close_frame(top);
	cf_files_listing_release(&top->listing);
}

void cf_files_stack_release(struct cf_files_stack *stack)
{
	while (stack->depth > 0)
		drop_top(stack);
	free(stack->frames);
	cf_buf_release(&stack->path);
	*stack = (struct cf_files_stack){0};
}

struct cf_files_frame *cf_files_stack_top(struct cf_files_stack *stack)
{
	return stack->depth ? &stack->frames[stack->depth - 1] : NULL;
}

static int make_room(struct cf_files_stack *stack, struct cf_err *err)
{
	size_t capacity = stack->capacity ? 2 * stack->capacity : 32;
	struct cf_files_frame *more;

	if (stack->depth < stack->capacity)
		return 0;
	more = realloc(stack->frames, capacity * sizeof(*more));
	if (!more)
		return cf_err_nomem(err);
	stack->frames = more;
	stack->capacity = capacity;
	return 0;
}

int cf_files_stack_push(struct cf_files_stack *stack, int fd, const struct stat *st,
			struct cf_files_listing *listing, struct cf_dir *dir, struct cf_err *err)
{
	int rc = make_room(stack, err);

	if (rc < 0) {
		close(fd);
		cf_files_listing_release(listing);
		return rc;
	}
	stack->frames[stack->depth++] = (struct cf_files_frame){
		.listing = *listing,
		.fd = fd,
		.dev = st->st_dev,
		.ino = st->st_ino,
		.dir = dir,
		.path_len = stack->path.len,
	};
	*listing = (struct cf_files_listing){0};
	if (stack->depth > OPEN_MAX_FRAMES)
		close_frame(&stack->frames[stack->depth - OPEN_MAX_FRAMES]);
	return 0;
}

/* The descriptor if it is the frame's folder, else -1 and it is closed. */
static int same_or_close(const struct cf_files_frame *frame, int fd)
{
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == frame->dev && st.st_ino == frame->ino)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The name by which the folder at this depth was entered: its part of the path, cut out for the
 * call. */
static int open_named(struct cf_files_stack *stack, int parent_fd, size_t depth)
{
	char *path = (char *)stack->path.data;
	char *end = path + stack->frames[depth].path_len, kept = *end;
	int fd;

	*end = '\0';
	fd = openat(parent_fd, strrchr(path, '/') + 1, OPEN_DIR);
	*end = kept;
	return same_or_close(&stack->frames[depth], fd);
}

static int reopen_from_root(struct cf_files_stack *stack, size_t depth)
{
	int fd = fcntl(stack->frames[0].fd, F_DUPFD_CLOEXEC, 0);

	for (size_t i = 1; i <= depth && fd >= 0; i++) {
		int next = open_named(stack, fd, i);

		close(fd);
		fd = next;
	}
	return fd;
}

void cf_files_stack_pop(struct cf_files_stack *stack)
{
	struct cf_files_frame *top = cf_files_stack_top(stack);
	struct cf_files_frame *above = stack->depth > 1 ? top - 1 : NULL;

	if (above && above->fd < 0 && top->fd >= 0)
		above->fd = same_or_close(above, openat(top->fd, "..", OPEN_DIR));
	if (above && above->fd < 0)
		above->fd = reopen_from_root(stack, stack->depth - 2);
	drop_top(stack);
}

int cf_files_stack_enter(struct cf_files_stack *stack, const char *name, struct cf_err *err)
{
	const struct cf_files_frame *top = cf_files_stack_top(stack);
	struct cf_buf *path = &stack->path;
	int rc = 0;

	if (top)
		path->len = top->path_len;
	if (name) {
		rc = cf_buf_append(path, "/", 1, err);
		if (rc == 0)
			rc = cf_buf_append_str(path, name, err);
	}
	if (rc == 0)
		rc = cf_buf_reserve(path, 1, err);
	if (rc == 0)
		path->data[path->len] = '\0';
	return rc;
}

const char *cf_files_stack_path(const struct cf_files_stack *stack)
{
	return stack->path.len ? (const char *)stack->path.data : "/";
}
