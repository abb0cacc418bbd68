#include "drivers/files/content.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Below this the kernel's first read-ahead window has the file anyway. */
#define ADVISE_MIN (256 * 1024)

struct push {
	const struct cf_ctx *ctx;
	int fd;
	uint8_t *buffer;
	struct cf_sink *sink;
	struct cf_file *file;
	uint64_t off;
	uint64_t stat_size;
	int read_errno;
	bool at_end;
};

/* Reads and writes once, up to `end`. */
static int push_once(struct push *p, uint64_t end, struct cf_err *err)
{
	size_t len = CF_FILES_READ_LEN;
	ssize_t n;
	int rc = cf_ctx_check(p->ctx, err);

	if (rc < 0)
		return rc;
	if (end - p->off < len)
		len = (size_t)(end - p->off);
	n = pread(p->fd, p->buffer, len, (off_t)p->off);
	if (n < 0) {
		if (errno != EINTR)
			p->read_errno = errno;
		return 0;
	}
	if (n > 0)
		rc = p->sink->ops->file_write(p->sink, p->file, cf_span_of(p->buffer, (size_t)n),
					      err);
	p->off += (uint64_t)n;
	/* A short read that ends where fstat said spares the read that gives nothing. */
	p->at_end = n == 0 || ((size_t)n < len && p->off == p->stat_size);
	return rc;
}

static int push_range(struct push *p, uint64_t end, struct cf_err *err)
{
	int rc = 0;

	while (rc == 0 && !p->at_end && p->read_errno == 0 && p->off < end)
		rc = push_once(p, end, err);
	return rc;
}

static int push_hole(struct push *p, uint64_t end, struct cf_err *err)
{
	uint64_t len = end > p->off ? end - p->off : 0;
	int rc = 0;

	if (len > 0)
		rc = p->sink->ops->file_hole(p->sink, p->file, len, err);
	p->off += len;
	return rc;
}

/* Nothing but a hole is left, up to where the file ends now. */
static int push_last_hole(struct push *p, struct cf_err *err)
{
	off_t end = lseek(p->fd, 0, SEEK_END);

	p->at_end = true;
	return end > 0 ? push_hole(p, (uint64_t)end, err) : 0;
}

static int push_sparse(struct push *p, struct cf_err *err)
{
	int rc = 0;

	while (rc == 0 && !p->at_end && p->read_errno == 0) {
		off_t data = lseek(p->fd, (off_t)p->off, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			return push_last_hole(p, err);
		hole = data < 0 ? -1 : lseek(p->fd, data, SEEK_HOLE);
		if (hole < 0) /* the file system does not tell, or the file just shrank */
			return push_range(p, UINT64_MAX, err);
		rc = push_hole(p, (uint64_t)data, err);
		if (rc == 0)
			rc = push_range(p, (uint64_t)hole, err);
	}
	return rc;
}

int cf_files_content_push(const struct cf_ctx *ctx, int fd, const struct stat *st, uint8_t *buffer,
			  struct cf_sink *sink, struct cf_file *file,
			  struct cf_files_content *result_out, struct cf_err *err)
{
	struct push p = {
		.ctx = ctx,
		.fd = fd,
		.buffer = buffer,
		.sink = sink,
		.file = file,
		.stat_size = (uint64_t)st->st_size,
	};
	int rc;

	if (st->st_size >= ADVISE_MIN)
		posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	if ((uint64_t)st->st_blocks * 512 < (uint64_t)st->st_size)
		rc = push_sparse(&p, err);
	else
		rc = push_range(&p, UINT64_MAX, err);
	result_out->n_bytes = p.off;
	result_out->read_errno = p.read_errno;
	return rc;
}
