#include "repo/pack_keys.h"

#include "base/err.h"
#include "base/file.h"
#include "repo/handle.h"
#include "repo/id_set.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file, named by its pack: nonce, then the pack's key sealed with the pack's name as associated data. */
enum {
	NONCE_LEN = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
	SEALED_LEN = CF_KEY_LEN + crypto_aead_xchacha20poly1305_ietf_ABYTES,
	FILE_LEN = NONCE_LEN + SEALED_LEN,
	READ_MAX = 4096
};

#define SECOND_NS   1000000000
#define LEFTOVER_NS ((int64_t)86400 * SECOND_NS) /* a temporary file this old is nobody's */

static const char probe_name[] = "probe";

struct cf_pack_keys {
	const struct cf_ctx *ctx;
	int64_t keep_ns;
	int dir_fd;
	struct cf_secret *seal_key;
	pthread_mutex_t lock; /* everything below */
	struct cf_id_set known;
	struct cf_id_set lost; /* of the known ones */
	struct cf_id_set used;
	bool is_closed;	    /* nothing can be added */
	bool is_incomplete; /* used lacks some */
};

/* "<cache>/<id>.index" is the local index; this stands beside it. NULL without one, or without memory. */
static char *folder_path(const struct cf_repo *repo)
{
	size_t len = repo->index_path ? strlen(repo->index_path) - strlen("index") : 0;
	char *path = NULL;

	return len && asprintf(&path, "%.*spack-keys", (int)len, repo->index_path) >= 0 ? path : NULL;
}

/* Call fn with each name in the folder but "." and "..". */
typedef void each_fn(void *user, int dir_fd, const char *name);

static int each_name(int dir_fd, each_fn *fn, void *user, struct cf_err *err)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!dir) {
		int code = errno;

		if (fd >= 0)
			close(fd);
		return cf_err_errno(err, code, "open the folder");
	}
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			fn(user, dir_fd, entry->d_name);
	closedir(dir);
	return 0;
}

static void note_known(void *user, int dir_fd, const char *name)
{
	struct cf_pack_keys *keys = user;
	struct cf_id pack;

	(void)dir_fd;
	if (cf_id_parse(name, &pack) && cf_id_set_add(&keys->known, &pack) < 0)
		keys->is_incomplete = true;
}

static void close_for_adding(struct cf_pack_keys *keys, const char *why)
{
	bool was_closed;

	pthread_mutex_lock(&keys->lock);
	was_closed = keys->is_closed;
	keys->is_closed = true;
	pthread_mutex_unlock(&keys->lock);
	if (!was_closed)
		cf_ctx_note(keys->ctx, "pack_keys.full", NULL, "keys of new packs are not kept: %s", why);
}

/* Trees are stored again for the sake of their keys, so it must be known beforehand that these can be kept. */
static void try_adding(struct cf_pack_keys *keys)
{
	const uint8_t zeros[FILE_LEN] = {0};
	struct cf_err why = CF_ERR_INIT;
	int fd = openat(keys->dir_fd, probe_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int rc = fd < 0 ? cf_err_errno(&why, errno, "create %s", probe_name)
			: cf_fd_write_all(fd, probe_name, cf_span_of(zeros, sizeof(zeros)), &why);

	if (fd >= 0) {
		close(fd);
		unlinkat(keys->dir_fd, probe_name, 0);
	}
	if (rc < 0)
		close_for_adding(keys, why.text);
}

static int open_folder(struct cf_pack_keys *keys, const char *path, struct cf_err *err)
{
	int rc = cf_dir_make(path, 0700, err);

	if (rc < 0)
		return rc;
	keys->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (keys->dir_fd < 0)
		return cf_err_errno(err, errno, "open %s", path);
	try_adding(keys);
	rc = each_name(keys->dir_fd, note_known, keys, err);
	return rc == 0 && keys->is_incomplete ? cf_err_nomem(err) : rc;
}

static int make_seal_key(struct cf_pack_keys *keys, struct cf_repo *repo, struct cf_err *err)
{
	const struct cf_keyring *ring = cf_keyring_of(repo->ring);
	int rc = cf_secret_new(CF_KEY_LEN, &keys->seal_key, err);

	return rc < 0 ? rc
		      : cf_derive(cf_span_of(ring->metadata_key, CF_KEY_LEN), "coffer pack keys",
				  cf_span_of(NULL, 0), cf_secret_data(keys->seal_key), err);
}

int cf_pack_keys_open(struct cf_repo *repo, int64_t keep_ns, struct cf_pack_keys **keys_out, struct cf_err *err)
{
	struct cf_pack_keys *keys = NULL;
	char *path = folder_path(repo);
	int rc;

	if (!path && repo->index_path)
		return cf_err_nomem(err);
	if (!path) {
		cf_ctx_note(repo->ctx, "pack_keys.unusable", NULL,
			    "keys of packs are not kept: there is no cache folder");
		return 0;
	}
	keys = calloc(1, sizeof(*keys));
	if (!keys) {
		free(path);
		return cf_err_nomem(err);
	}
	keys->ctx = repo->ctx;
	keys->keep_ns = keep_ns;
	keys->dir_fd = -1;
	pthread_mutex_init(&keys->lock, NULL);
	rc = make_seal_key(keys, repo, err);
	if (rc == 0)
		rc = open_folder(keys, path, err);
	if (rc == 0) {
		*keys_out = keys;
		keys = NULL;
	} else if (rc != CF_ERR_NOMEM) {
		cf_ctx_note(repo->ctx, "pack_keys.unusable", path, "keys of packs are not kept: %s",
			    err ? err->text : path);
		cf_err_clear(err);
		rc = 0;
	}
	cf_pack_keys_free(keys);
	free(path);
	return rc;
}

void cf_pack_keys_free(struct cf_pack_keys *keys)
{
	if (!keys)
		return;
	if (keys->dir_fd >= 0)
		close(keys->dir_fd);
	cf_secret_free(keys->seal_key);
	cf_id_set_release(&keys->known);
	cf_id_set_release(&keys->lost);
	cf_id_set_release(&keys->used);
	pthread_mutex_destroy(&keys->lock);
	free(keys);
}

static void remove_name(void *user, int dir_fd, const char *name)
{
	(void)user;
	unlinkat(dir_fd, name, 0);
}

void cf_pack_keys_remove(const struct cf_repo *repo)
{
	char *path = folder_path(repo);
	int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		each_name(fd, remove_name, NULL, NULL);
		close(fd);
		rmdir(path);
	}
	free(path);
}

static int note_in(struct cf_pack_keys *keys, struct cf_id_set *set, const struct cf_id *pack)
{
	int rc;

	pthread_mutex_lock(&keys->lock);
	rc = cf_id_set_add(set, pack);
	pthread_mutex_unlock(&keys->lock);
	return rc;
}

void cf_pack_keys_add(struct cf_pack_keys *keys, const struct cf_id *pack, const uint8_t key[CF_KEY_LEN])
{
	uint8_t file[FILE_LEN];
	struct cf_err why = CF_ERR_INIT;
	int rc;

	if (!cf_pack_keys_adds(keys))
		return;
	cf_random(file, NONCE_LEN);
	crypto_aead_xchacha20poly1305_ietf_encrypt(file + NONCE_LEN, NULL, key, CF_KEY_LEN, pack->bytes, CF_ID_LEN,
						   NULL, file, cf_secret_data(keys->seal_key));
	rc = cf_file_replace(keys->dir_fd, cf_id_text(pack).s, cf_span_of(file, sizeof(file)), 0600, &why);
	if (rc == 0 && (note_in(keys, &keys->known, pack) < 0 || note_in(keys, &keys->used, pack) < 0))
		rc = cf_err_nomem(&why);
	if (rc < 0)
		close_for_adding(keys, why.text);
}

bool cf_pack_keys_adds(struct cf_pack_keys *keys)
{
	bool adds;

	pthread_mutex_lock(&keys->lock);
	adds = !keys->is_closed;
	pthread_mutex_unlock(&keys->lock);
	return adds;
}

bool cf_pack_keys_has(struct cf_pack_keys *keys, const struct cf_id *pack)
{
	bool has;

	pthread_mutex_lock(&keys->lock);
	has = cf_id_set_has(&keys->known, pack) && !cf_id_set_has(&keys->lost, pack);
	pthread_mutex_unlock(&keys->lock);
	return has;
}

static bool open_file(struct cf_pack_keys *keys, const struct cf_id *pack, struct cf_span file,
		     uint8_t key_out[CF_KEY_LEN])
{
	return file.len == FILE_LEN &&
	       crypto_aead_xchacha20poly1305_ietf_decrypt(key_out, NULL, NULL, file.data + NONCE_LEN, SEALED_LEN,
							  pack->bytes, CF_ID_LEN, file.data,
							  cf_secret_data(keys->seal_key)) == 0;
}

int cf_pack_keys_get(struct cf_pack_keys *keys, const struct cf_id *pack, uint8_t key_out[CF_KEY_LEN],
		     struct cf_err *err)
{
	struct cf_id_text name = cf_id_text(pack);
	struct cf_buf file = CF_BUF_INIT;
	int rc;

	if (!cf_pack_keys_has(keys, pack))
		return 0;
	rc = cf_file_read(keys->dir_fd, name.s, READ_MAX, &file, err);
	if (rc == 0 && open_file(keys, pack, cf_buf_span(&file), key_out)) {
		cf_pack_keys_use(keys, pack);
		rc = 1;
	} else if (rc != CF_ERR_NOMEM) {
		cf_err_clear(err);
		if (rc == 0)
			unlinkat(keys->dir_fd, name.s, 0);
		rc = note_in(keys, &keys->lost, pack) < 0 ? cf_err_nomem(err) : 0;
	}
	cf_buf_release(&file);
	return rc;
}

void cf_pack_keys_use(struct cf_pack_keys *keys, const struct cf_id *pack)
{
	pthread_mutex_lock(&keys->lock);
	if (cf_id_set_add(&keys->used, pack) < 0)
		keys->is_incomplete = true;
	pthread_mutex_unlock(&keys->lock);
}

struct sweep {
	struct cf_pack_keys *keys;
	int64_t now_ns;
};

static int64_t nanoseconds(struct timespec time)
{
	return (int64_t)time.tv_sec * SECOND_NS + time.tv_nsec;
}

/* When a pack was used last is when its file was changed. */
static void sweep_name(void *user, int dir_fd, const char *name)
{
	struct sweep *sweep = user;
	const struct timespec now[2] = {{.tv_nsec = UTIME_OMIT},
					{.tv_sec = sweep->now_ns / SECOND_NS, .tv_nsec = sweep->now_ns % SECOND_NS}};
	struct cf_id pack;
	struct stat st;
	bool is_key = cf_id_parse(name, &pack);
	int64_t age;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return;
	age = sweep->now_ns - nanoseconds(st.st_mtim);
	/* A clock that was ahead must not keep one for ever. */
	if (is_key && (age < 0 || cf_id_set_has(&sweep->keys->used, &pack)))
		utimensat(dir_fd, name, now, AT_SYMLINK_NOFOLLOW);
	else if (age > (is_key ? sweep->keys->keep_ns : LEFTOVER_NS))
		unlinkat(dir_fd, name, 0);
}

void cf_pack_keys_sweep(struct cf_pack_keys *keys)
{
	struct sweep sweep = {.keys = keys, .now_ns = cf_ctx_now_ns(keys->ctx)};

	pthread_mutex_lock(&keys->lock);
	if (!keys->is_incomplete)
		each_name(keys->dir_fd, sweep_name, &sweep, NULL);
	pthread_mutex_unlock(&keys->lock);
}
