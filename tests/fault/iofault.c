/*
 * A library for LD_PRELOAD that fails the nth system call of a kind below a folder.
 *
 *	IOFAULT_DIR=DIR      calls count when they name DIR or something below it
 *	IOFAULT=write:17:ENOSPC    the 17th write fails with ENOSPC and does nothing
 *	IOFAULT=kill:write:17      the process is killed (signal 9) before its 17th write
 *	IOFAULT=gone:read:17:EIO   the 17th read fails with EIO, and all after it
 *	IOFAULT_BAD=NAME:4096:512  a bad sector: EIO for each read of files of that name that touches these bytes
 *	IOFAULT_BAD=NAME           a lost inode: EIO for whoever opens these files or asks for their attributes
 *	IOFAULT_COUNT=FILE   at exit, one line "kind n" for each kind, with how often it was called
 *
 * Kinds: write (write, writev, pwrite, pwritev), fsync (and fdatasync), rename (all three), link (and linkat),
 * open (those that may create a file), read (pread: read alone ends the threads of a mount). A specification that makes no sense aborts the process: a test must
 * not pass because its fault never came. Prints nothing. 64-bit Linux.
 */

/* Both names of each call are defined here, so neither may be a macro or an alias of the other. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

_Static_assert(sizeof(long) == 8, "offsets are passed to the kernel in one register");

enum kind {
	KIND_WRITE,
	KIND_FSYNC,
	KIND_RENAME,
	KIND_LINK,
	KIND_OPEN,
	KIND_READ,
	N_KINDS
};

static const char *const kind_names[N_KINDS] = {"write", "fsync", "rename", "link", "open", "read"};

static const struct {
	const char *name;
	int value;
} error_names[] = {
	{"EIO", EIO},	    {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EACCES", EACCES}, {"EPERM", EPERM},
	{"EROFS", EROFS},   {"EINTR", EINTR},	{"EINVAL", EINVAL}, {"EMFILE", EMFILE}, {"ENOMEM", ENOMEM},
	{"ENOENT", ENOENT}, {"EEXIST", EEXIST}, {"EXDEV", EXDEV},   {"ENOSYS", ENOSYS},
};

/* Written once, by load(), before the program has threads. */
static char given_dir[PATH_MAX], real_dir[PATH_MAX];
static const char *count_path;
static pid_t loaded_by;
static bool kills, stays;
static int fault_kind = -1, fault_errno;
static unsigned long fault_nth;
static char bad_name[NAME_MAX + 1];
static unsigned long long bad_off, bad_len; /* 0: the inode */

static atomic_ulong counts[N_KINDS];

static int parse_kind(const char *text, size_t len)
{
	for (int i = 0; i < N_KINDS; i++)
		if (strlen(kind_names[i]) == len && memcmp(kind_names[i], text, len) == 0)
			return i;
	abort();
}

static int parse_error(const char *text)
{
	for (size_t i = 0; i < sizeof(error_names) / sizeof(error_names[0]); i++)
		if (strcmp(error_names[i].name, text) == 0)
			return error_names[i].value;
	abort();
}

static void parse_fault(const char *text)
{
	size_t len;
	char *end;

	kills = strncmp(text, "kill:", 5) == 0;
	stays = strncmp(text, "gone:", 5) == 0;
	if (kills || stays)
		text += 5;
	len = strcspn(text, ":");
	fault_kind = parse_kind(text, len);
	if (text[len] != ':')
		abort();
	fault_nth = strtoul(text + len + 1, &end, 10);
	if (fault_nth == 0 || (kills ? *end != '\0' : *end != ':'))
		abort();
	if (!kills)
		fault_errno = parse_error(end + 1);
}

static void parse_bad(const char *text)
{
	size_t len = strcspn(text, ":");
	char *end;

	if (len == 0 || len >= sizeof(bad_name))
		abort();
	memcpy(bad_name, text, len);
	if (text[len] == '\0')
		return;
	bad_off = strtoull(text + len + 1, &end, 10);
	if (*end != ':')
		abort();
	bad_len = strtoull(end + 1, &end, 10);
	if (bad_len == 0 || *end != '\0')
		abort();
}

__attribute__((constructor)) static void load(void)
{
	const char *dir = getenv("IOFAULT_DIR"), *fault = getenv("IOFAULT"), *bad = getenv("IOFAULT_BAD");

	if (!dir)
		return;
	if (strlen(dir) >= sizeof(given_dir))
		abort();
	strcpy(given_dir, dir);
	if (!realpath(dir, real_dir))
		real_dir[0] = '\0';
	count_path = getenv("IOFAULT_COUNT");
	loaded_by = getpid();
	if (fault)
		parse_fault(fault);
	if (bad)
		parse_bad(bad);
}

/* A child that called nothing leaves the counts of the program that started it alone. */
__attribute__((destructor)) static void write_counts(void)
{
	unsigned long total = 0;
	FILE *file;

	for (int i = 0; i < N_KINDS; i++)
		total += counts[i];
	if (!count_path || getpid() != loaded_by || (total == 0 && access(count_path, F_OK) == 0))
		return;
	file = fopen(count_path, "we");
	if (!file)
		abort();
	for (int i = 0; i < N_KINDS; i++)
		fprintf(file, "%s %lu\n", kind_names[i], counts[i]);
	if (fclose(file) != 0)
		abort();
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	while (len > 1 && dir[len - 1] == '/')
		len--;
	return len > 0 && strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static bool is_watched(const char *path)
{
	return is_below(path, given_dir) || is_below(path, real_dir);
}

static bool read_link(const char *link, char *out, size_t size)
{
	ssize_t n = readlink(link, out, size - 1);

	if (n < 0)
		return false;
	out[n] = '\0';
	return true;
}

static bool path_of_fd(int fd, char path[PATH_MAX])
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return read_link(link, path, PATH_MAX);
}

static bool is_watched_fd(int fd)
{
	char path[PATH_MAX];

	return path_of_fd(fd, path) && is_watched(path);
}

static bool is_bad(const char *path)
{
	const char *slash = strrchr(path, '/');

	return bad_name[0] && strcmp(slash ? slash + 1 : path, bad_name) == 0;
}

static bool is_watched_at(int dir_fd, const char *path)
{
	char link[64] = "/proc/self/cwd", full[2 * PATH_MAX];
	size_t len;

	if (path[0] == '/')
		return is_watched(path);
	if (dir_fd != AT_FDCWD)
		snprintf(link, sizeof(link), "/proc/self/fd/%d", dir_fd);
	if (!read_link(link, full, PATH_MAX))
		return false;
	len = strlen(full);
	snprintf(full + len, sizeof(full) - len, "/%s", path);
	return is_watched(full);
}

/* Count a call; true when it has to fail, with errno set. */
static bool fails(enum kind kind, bool counts_here)
{
	unsigned long n;

	if (!counts_here)
		return false;
	n = atomic_fetch_add(&counts[kind], 1) + 1;
	if ((int)kind != fault_kind || (stays ? n < fault_nth : n != fault_nth))
		return false;
	if (kills)
		kill(getpid(), SIGKILL);
	errno = fault_errno;
	return true;
}

/* Finding the path must not change what a successful call leaves in errno. */
static bool fails_on_fd(enum kind kind, int fd)
{
	int saved = errno;
	bool is_here = given_dir[0] && is_watched_fd(fd);

	errno = saved;
	return fails(kind, is_here);
}

static bool fails_on_paths(enum kind kind, int dir_a, const char *a, int dir_b, const char *b)
{
	int saved = errno;
	bool is_here = given_dir[0] && (is_watched_at(dir_a, a) || is_watched_at(dir_b, b));

	errno = saved;
	return fails(kind, is_here);
}

ssize_t write(int fd, const void *data, size_t len)
{
	return fails_on_fd(KIND_WRITE, fd) ? -1 : syscall(SYS_write, fd, data, len);
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	return fails_on_fd(KIND_WRITE, fd) ? -1 : syscall(SYS_writev, fd, iov, n);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t off)
{
	return fails_on_fd(KIND_WRITE, fd) ? -1 : syscall(SYS_pwrite64, fd, data, len, off);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t off)
{
	return pwrite64(fd, data, len, off);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t off)
{
	return fails_on_fd(KIND_WRITE, fd) ? -1 : syscall(SYS_pwritev, fd, iov, n, off, 0);
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
	return pwritev64(fd, iov, n, off);
}

ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off64_t off, int flags)
{
	return fails_on_fd(KIND_WRITE, fd) ? -1 : syscall(SYS_pwritev2, fd, iov, n, off, 0, flags);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
	return pwritev64v2(fd, iov, n, off, flags);
}

/* True when bytes that are read, or with len 0 the inode of a path, are bad. */
static bool meets_bad(const char *path, unsigned long long off, unsigned long long len)
{
	bool is_met = is_bad(path) && (len ? off < bad_off + bad_len && bad_off < off + len : bad_len == 0);

	if (is_met)
		errno = EIO;
	return is_met;
}

static bool reads_bad(int fd, unsigned long long off, size_t len)
{
	char path[PATH_MAX];
	int saved = errno;
	bool is_met = bad_name[0] && path_of_fd(fd, path) && meets_bad(path, off, len);

	if (!is_met)
		errno = saved;
	return is_met;
}

ssize_t pread64(int fd, void *out, size_t len, off64_t off)
{
	if (fails_on_fd(KIND_READ, fd) || reads_bad(fd, (unsigned long long)off, len))
		return -1;
	return syscall(SYS_pread64, fd, out, len, off);
}

ssize_t pread(int fd, void *out, size_t len, off_t off)
{
	return pread64(fd, out, len, off);
}

int fstatat64(int dir_fd, const char *restrict path, struct stat64 *restrict out, int flags)
{
	return meets_bad(path, 0, 0) ? -1 : (int)syscall(SYS_newfstatat, dir_fd, path, out, flags);
}

int fstatat(int dir_fd, const char *restrict path, struct stat *restrict out, int flags)
{
	return meets_bad(path, 0, 0) ? -1 : (int)syscall(SYS_newfstatat, dir_fd, path, out, flags);
}

int fsync(int fd)
{
	return fails_on_fd(KIND_FSYNC, fd) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return fails_on_fd(KIND_FSYNC, fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int renameat2(int old_fd, const char *old, int new_fd, const char *new, unsigned flags)
{
	if (fails_on_paths(KIND_RENAME, old_fd, old, new_fd, new))
		return -1;
	return (int)syscall(SYS_renameat2, old_fd, old, new_fd, new, flags);
}

int renameat(int old_fd, const char *old, int new_fd, const char *new)
{
	return renameat2(old_fd, old, new_fd, new, 0);
}

int rename(const char *old, const char *new)
{
	return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0);
}

int linkat(int old_fd, const char *old, int new_fd, const char *new, int flags)
{
	if (fails_on_paths(KIND_LINK, old_fd, old, new_fd, new))
		return -1;
	return (int)syscall(SYS_linkat, old_fd, old, new_fd, new, flags);
}

int link(const char *old, const char *new)
{
	return linkat(AT_FDCWD, old, AT_FDCWD, new, 0);
}

static bool may_create(int flags)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

static int open_at(int dir_fd, const char *path, int flags, mode_t mode)
{
	if ((may_create(flags) && fails_on_paths(KIND_OPEN, dir_fd, path, dir_fd, path)) || meets_bad(path, 0, 0))
		return -1;
	return (int)syscall(SYS_openat, dir_fd, path, flags, mode);
}

/* The mode is there only when a file may be created. */
static mode_t mode_of(int flags, va_list args)
{
	return may_create(flags) ? va_arg(args, mode_t) : 0;
}

int openat64(int dir_fd, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	return open_at(dir_fd, path, flags, mode);
}

int openat(int dir_fd, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	return open_at(dir_fd, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	return open_at(AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	return open_at(AT_FDCWD, path, flags, mode);
}

int creat64(const char *path, mode_t mode)
{
	return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int creat(const char *path, mode_t mode)
{
	return creat64(path, mode);
}
