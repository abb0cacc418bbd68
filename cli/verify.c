#include "cli/verify.h"

#include "base/err.h"
#include "cli/cli.h"
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_LEN (256 * 1024)

struct verify {
	struct cf_cli *cli;
	struct cf_repo *repo;
	struct cf_buf path; /* for messages: of the folder, its last byte a slash; no NUL */
	struct cf_buf block;
	struct cf_verify_figures *figures;
	struct cf_err *err;
};

/* One open file held against its content. */
struct comparison {
	struct verify *verify;
	int fd;
	uint64_t off;
	bool differs;
};

static int differs(struct verify *verify, const char *how)
{
	verify->figures->differences++;
	cf_ctx_warn(&verify->cli->ctx, "verify.different", (const char *)verify->path.data, "%s",
		    how);
	return 0;
}

static int compare_block(struct comparison *comparison, struct cf_span data)
{
	uint8_t *block = comparison->verify->block.data;
	ssize_t n;

	while (data.len > 0) {
		size_t want = data.len < BLOCK_LEN ? data.len : BLOCK_LEN;

		n = pread(comparison->fd, block, want, (off_t)comparison->off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || memcmp(block, data.data, (size_t)n) != 0) {
			comparison->differs = true;
			return 1;
		}
		comparison->off += (uint64_t)n;
		data = cf_span_of(data.data + n, data.len - (size_t)n);
	}
	return 0;
}

/* Non-zero stops the reading; below 0 it is an error. */
static int compare_piece(void *user, struct cf_span data, struct cf_err *err)
{
	struct comparison *comparison = user;
	int rc = cf_ctx_check(&comparison->verify->cli->ctx, err);

	return rc < 0 ? rc : compare_block(comparison, data);
}

/* Data where the content has a hole has to be zeros. */
static int compare_zeros(struct comparison *comparison, uint64_t end, struct cf_err *err)
{
	static const uint8_t zeros[64 * 1024];
	int rc = 0;

	while (rc == 0 && comparison->off < end) {
		uint64_t left = end - comparison->off;

		rc = compare_piece(comparison,
				   cf_span_of(zeros, left < sizeof(zeros) ? left : sizeof(zeros)),
				   err);
	}
	return rc;
}

/* What is a hole here too is not read: it may be far larger than what can be. */
static int compare_hole(struct comparison *comparison, uint64_t end, struct cf_err *err)
{
	int rc = 0;

	while (rc == 0 && comparison->off < end) {
		off_t data = lseek(comparison->fd, (off_t)comparison->off, SEEK_DATA), hole;

		if (data < 0 && errno != ENXIO)
			return compare_zeros(comparison, end, err); /* no such seeking here */
		if (data < 0 || (uint64_t)data >= end) {
			comparison->off = end;
			break;
		}
		hole = lseek(comparison->fd, data, SEEK_HOLE);
		comparison->off = (uint64_t)data;
		rc = compare_zeros(comparison,
				   hole > data && (uint64_t)hole < end ? (uint64_t)hole : end, err);
	}
	return rc;
}

/* Runs of data, and the holes between them. */
static int compare_content(struct comparison *comparison, const struct cf_content *content)
{
	struct verify *verify = comparison->verify;
	struct cf_content_cursor *cursor = NULL;
	struct cf_extent extent;
	uint64_t end = 0;
	int more = 1, rc = cf_content_cursor_new(verify->repo, content, &cursor, verify->err);

	while (rc == 0 && more && !comparison->differs) {
		more = cf_content_cursor_next(cursor, &extent, verify->err);
		if (more == 1 && !cf_id_is_zero(&extent.id)) {
			end = extent.off + extent.len;
			continue;
		}
		if (more < 0)
			rc = more;
		else if (end > comparison->off)
			rc = cf_content_read(verify->repo, content, comparison->off,
					     end - comparison->off, compare_piece, comparison,
					     verify->err);
		if (rc == 0 && more == 1)
			rc = compare_hole(comparison, extent.off + extent.len, verify->err);
		end = comparison->off;
	}
	cf_content_cursor_free(cursor);
	return rc;
}

static int verify_open_file(struct verify *verify, int fd, const struct cf_node *node)
{
	struct comparison comparison = {.verify = verify, .fd = fd};
	struct stat st;
	int rc;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return differs(verify, "is no file");
	if ((uint64_t)st.st_size != node->content.size)
		return differs(verify, "has another size than in the repository");
	rc = compare_content(&comparison, &node->content);
	if (comparison.differs)
		return differs(verify, "has another content than in the repository");
	if (rc < 0)
		return rc;
	verify->figures->files++;
	verify->figures->bytes += node->content.size;
	return 0;
}

static int verify_file(struct verify *verify, int dir_fd, const struct cf_node *node)
{
	int fd = openat(dir_fd, node->entry.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC),
	    rc;

	if (fd < 0)
		return differs(verify, strerror(errno));
	rc = verify_open_file(verify, fd, node);
	close(fd);
	return rc;
}

static int verify_dir(struct verify *verify, int fd, const struct cf_node *node);

static int verify_subdir(struct verify *verify, int dir_fd, const struct cf_node *node)
{
	int fd = openat(dir_fd, node->entry.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
	    rc;

	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		return cf_err_set(verify->err, CF_ERR_FAILED, "no descriptor left to verify %s",
				  (const char *)verify->path.data);
	if (fd < 0)
		return differs(verify, strerror(errno));
	verify->path.data[verify->path.len - 1] = '/';
	rc = verify_dir(verify, fd, node);
	close(fd);
	return rc;
}

static int verify_entry(struct verify *verify, int dir_fd, const struct cf_node *node)
{
	size_t len = verify->path.len;
	int rc = cf_buf_append(&verify->path, node->entry.name, strlen(node->entry.name) + 1,
			       verify->err);

	if (rc == 0 && node->entry.type == CF_ENTRY_DIR)
		rc = verify_subdir(verify, dir_fd, node);
	else if (rc == 0 && node->entry.type == CF_ENTRY_FILE)
		rc = verify_file(verify, dir_fd, node);
	verify->path.len = len;
	return rc;
}

static int verify_dir(struct verify *verify, int fd, const struct cf_node *node)
{
	struct cf_dir_iter *iter = NULL;
	const struct cf_node *child;
	int rc = cf_dir_iter_new(verify->repo, node, &iter, verify->err);

	while (rc >= 0) {
		rc = cf_dir_iter_next(iter, &child, verify->err);
		if (rc <= 0)
			break;
		rc = verify_entry(verify, fd, child);
	}
	cf_dir_iter_free(iter);
	return rc;
}

/* One descriptor stays open for each level of folders. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int cf_verify(struct cf_cli *cli, struct cf_repo *repo, const struct cf_node *node,
	      const char *folder, struct cf_verify_figures *figures_out, struct cf_err *err)
{
	struct verify verify = {.cli = cli,
				.repo = repo,
				.path = CF_BUF_INIT,
				.block = CF_BUF_INIT,
				.figures = figures_out,
				.err = err};
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	*figures_out = (struct cf_verify_figures){0};
	if (fd < 0)
		return cf_err_errno(err, errno, "open %s", folder);
	raise_descriptor_limit();
	rc = cf_buf_printf(&verify.path, err, "%s/", folder);
	if (rc == 0)
		rc = cf_buf_reserve(&verify.block, BLOCK_LEN, err);
	if (rc == 0)
		rc = node->entry.type == CF_ENTRY_DIR ? verify_dir(&verify, fd, node)
						      : verify_entry(&verify, fd, node);
	if (rc == 0 && figures_out->differences > 0)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "%s: not as in the repository: %s", folder,
				cf_text_count(figures_out->differences, "file", "files").s);
	cf_buf_release(&verify.path);
	cf_buf_release(&verify.block);
	close(fd);
	return rc;
}
