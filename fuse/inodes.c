#include "fuse/inodes.h"

#include "base/err.h"
#include "base/le.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <xxhash.h>

enum {
	ROOT_INO = 1,
	BUCKETS_MIN = 1024
};

struct cf_inodes {
	pthread_mutex_t lock;
	struct cf_inode **buckets;
	size_t n_buckets, n;
};

/* What an inode stands for, as a hash. */
struct identity {
	uint64_t ino, check;
};

static struct identity identity_of(char kind, const void *what, size_t len, uint64_t parent, const char *name)
{
	uint64_t seed = XXH3_64bits_withSeed(what, len, parent * 256 + (unsigned char)kind);
	XXH128_hash_t hash = XXH3_128bits_withSeed(name, strlen(name), seed);

	/* 0 means nothing to the kernel, and 1 is the root. */
	return (struct identity){hash.low64 > ROOT_INO ? hash.low64 : hash.low64 + 2, hash.high64};
}

static struct identity node_identity(const struct cf_inode *parent, const struct cf_node *node)
{
	const struct cf_id *id = &parent->shot->snapshot->id;
	uint8_t what[CF_ID_LEN + 16];

	memcpy(what, id->bytes, CF_ID_LEN);
	/* All names of one file are one inode. */
	if (node->entry.nlink > 1 && node->entry.ino != 0 && node->entry.type != CF_ENTRY_DIR) {
		cf_le64_put(what + CF_ID_LEN, node->entry.dev);
		cf_le64_put(what + CF_ID_LEN + 8, node->entry.ino);
		return identity_of('l', what, sizeof(what), 0, "");
	}
	return identity_of('n', what, CF_ID_LEN, parent->ino, node->entry.name);
}

static struct identity view_identity(const struct cf_inode *parent, const struct cf_view_item *item)
{
	/* A link that points elsewhere than before is another one. */
	if (item->kind == CF_VIEW_LINK)
		return identity_of('k', item->key, strlen(item->key), parent->ino, item->name);
	if (item->kind == CF_VIEW_SHOT)
		return identity_of('s', item->shot->snapshot->id.bytes, CF_ID_LEN, parent->ino, "");
	return identity_of('v', &item->kind, sizeof(item->kind), parent->ino, item->name);
}

uint64_t cf_ino_of_node(const struct cf_inode *parent, const struct cf_node *node)
{
	return node_identity(parent, node).ino;
}

uint64_t cf_ino_of_view(const struct cf_inode *parent, const struct cf_view_item *item)
{
	return view_identity(parent, item).ino;
}

int cf_inodes_new(struct cf_inodes **inodes_out, struct cf_err *err)
{
	struct cf_inodes *inodes = calloc(1, sizeof(*inodes));

	if (inodes)
		inodes->buckets = calloc(BUCKETS_MIN, sizeof(struct cf_inode *));
	if (!inodes || !inodes->buckets) {
		free(inodes);
		return cf_err_nomem(err);
	}
	inodes->n_buckets = BUCKETS_MIN;
	pthread_mutex_init(&inodes->lock, NULL);
	*inodes_out = inodes;
	return 0;
}

static void free_inode(struct cf_inode *inode)
{
	if (!inode)
		return;
	cf_dir_reader_close(atomic_load(&inode->dir));
	cf_shot_release(inode->shot);
	free(inode->node);
	free(inode->key);
	free(inode);
}

void cf_inodes_free(struct cf_inodes *inodes)
{
	if (!inodes)
		return;
	for (size_t i = 0; i < inodes->n_buckets; i++)
		while (inodes->buckets[i]) {
			struct cf_inode *inode = inodes->buckets[i];

			inodes->buckets[i] = inode->chain;
			free_inode(inode);
		}
	pthread_mutex_destroy(&inodes->lock);
	free(inodes->buckets);
	free(inodes);
}

static struct cf_inode **place_of(struct cf_inodes *inodes, uint64_t ino)
{
	struct cf_inode **at = &inodes->buckets[ino % inodes->n_buckets];

	while (*at && (*at)->ino != ino)
		at = &(*at)->chain;
	return at;
}

/* Without memory the chains only get longer. */
static void grow(struct cf_inodes *inodes)
{
	size_t n_buckets = inodes->n_buckets * 4;
	struct cf_inode **buckets = calloc(n_buckets, sizeof(struct cf_inode *));

	if (!buckets)
		return;
	for (size_t i = 0; i < inodes->n_buckets; i++)
		while (inodes->buckets[i]) {
			struct cf_inode *inode = inodes->buckets[i];

			inodes->buckets[i] = inode->chain;
			inode->chain = buckets[inode->ino % n_buckets];
			buckets[inode->ino % n_buckets] = inode;
		}
	free(inodes->buckets);
	inodes->buckets = buckets;
	inodes->n_buckets = n_buckets;
}

static void link_inode(struct cf_inodes *inodes, struct cf_inode *inode)
{
	struct cf_inode **bucket;

	if (++inodes->n > 2 * inodes->n_buckets)
		grow(inodes);
	bucket = &inodes->buckets[inode->ino % inodes->n_buckets];
	inode->chain = *bucket;
	*bucket = inode;
}

/* The inode that stands for it and one lookup more, or NULL and the number a new one gets. Lock held. */
static struct cf_inode *look_up(struct cf_inodes *inodes, const struct identity *identity, uint64_t *ino_out)
{
	uint64_t ino = identity->ino;
	struct cf_inode *inode;

	/* Of two that share a number, which hardly ever happens, the later gets the next. */
	while ((inode = *place_of(inodes, ino)) && inode->check != identity->check)
		ino = ino + 1 > ROOT_INO ? ino + 1 : ROOT_INO + 1;
	if (inode)
		inode->n_lookups++;
	*ino_out = ino;
	return inode;
}

/* fresh is taken over. */
static struct cf_inode *add(struct cf_inodes *inodes, const struct identity *identity, struct cf_inode *fresh)
{
	struct cf_inode *inode;

	pthread_mutex_lock(&inodes->lock);
	inode = look_up(inodes, identity, &fresh->ino);
	if (!inode) {
		fresh->check = identity->check;
		fresh->n_lookups = 1;
		link_inode(inodes, fresh);
		inode = fresh;
		fresh = NULL;
	}
	pthread_mutex_unlock(&inodes->lock);
	free_inode(fresh);
	return inode;
}

static struct cf_inode *find(struct cf_inodes *inodes, const struct identity *identity)
{
	struct cf_inode *inode;
	uint64_t ino;

	pthread_mutex_lock(&inodes->lock);
	inode = look_up(inodes, identity, &ino);
	pthread_mutex_unlock(&inodes->lock);
	return inode;
}

int cf_inodes_set_root(struct cf_inodes *inodes, struct cf_shot *shot, const struct cf_node *node,
		       struct cf_err *err)
{
	struct cf_inode *root = calloc(1, sizeof(*root));

	if (!root)
		return cf_err_nomem(err);
	root->ino = ROOT_INO;
	root->n_lookups = 1;
	root->kind = shot ? CF_VIEW_SHOT : CF_VIEW_ROOT;
	root->node = node ? cf_node_dup(node) : NULL;
	if (node && !root->node) {
		free(root);
		return cf_err_nomem(err);
	}
	root->shot = shot ? cf_shot_share(shot) : NULL;
	link_inode(inodes, root);
	return 0;
}

struct cf_inode *cf_inodes_at(struct cf_inodes *inodes, uint64_t ino)
{
	struct cf_inode *inode;

	pthread_mutex_lock(&inodes->lock);
	inode = *place_of(inodes, ino);
	pthread_mutex_unlock(&inodes->lock);
	return inode;
}

int cf_inodes_of_node(struct cf_inodes *inodes, const struct cf_inode *parent, const struct cf_node *node,
		      struct cf_inode **inode_out, struct cf_err *err)
{
	struct identity identity = node_identity(parent, node);
	struct cf_inode *inode = find(inodes, &identity);

	if (!inode) {
		inode = calloc(1, sizeof(*inode));
		if (inode)
			inode->node = cf_node_dup(node);
		if (!inode || !inode->node) {
			free(inode);
			return cf_err_nomem(err);
		}
		inode->kind = CF_VIEW_SHOT;
		inode->parent = parent->ino;
		inode->shot = cf_shot_share(parent->shot);
		inode = add(inodes, &identity, inode);
	}
	*inode_out = inode;
	return 0;
}

static struct cf_inode *new_view(const struct cf_inode *parent, const struct cf_view_item *item,
				 const struct cf_node *root)
{
	struct cf_inode *inode = calloc(1, sizeof(*inode));

	if (!inode)
		return NULL;
	inode->kind = item->kind;
	inode->parent = parent->ino;
	inode->key = item->key ? strdup(item->key) : NULL;
	inode->node = root ? cf_node_dup(root) : NULL;
	inode->shot = item->shot ? cf_shot_share(item->shot) : NULL;
	if ((item->key && !inode->key) || (root && !inode->node)) {
		free_inode(inode);
		return NULL;
	}
	return inode;
}

int cf_inodes_of_view(struct cf_inodes *inodes, const struct cf_inode *parent, const struct cf_view_item *item,
		      const struct cf_node *root, struct cf_inode **inode_out, struct cf_err *err)
{
	struct identity identity = view_identity(parent, item);
	struct cf_inode *inode = find(inodes, &identity);

	if (!inode) {
		inode = new_view(parent, item, root);
		if (!inode)
			return cf_err_nomem(err);
		inode = add(inodes, &identity, inode);
	}
	*inode_out = inode;
	return 0;
}

void cf_inodes_forget(struct cf_inodes *inodes, uint64_t ino, uint64_t n_lookups)
{
	struct cf_inode **at, *gone = NULL;

	pthread_mutex_lock(&inodes->lock);
	at = place_of(inodes, ino);
	if (*at && ino != ROOT_INO) {
		(*at)->n_lookups -= n_lookups;
		if ((*at)->n_lookups == 0) {
			gone = *at;
			*at = gone->chain;
			inodes->n--;
		}
	}
	pthread_mutex_unlock(&inodes->lock);
	free_inode(gone);
}

static struct timespec time_of(int64_t ns)
{
	int64_t seconds = ns / 1000000000, rest = ns % 1000000000;

	if (rest < 0) {
		seconds--;
		rest += 1000000000;
	}
	return (struct timespec){.tv_sec = seconds, .tv_nsec = rest};
}

static mode_t type_of(enum cf_entry_type type)
{
	static const mode_t types[] = {
		[CF_ENTRY_FILE] = S_IFREG,    [CF_ENTRY_DIR] = S_IFDIR,	    [CF_ENTRY_SYMLINK] = S_IFLNK,
		[CF_ENTRY_FIFO] = S_IFIFO,    [CF_ENTRY_SOCKET] = S_IFSOCK, [CF_ENTRY_CHARDEV] = S_IFCHR,
		[CF_ENTRY_BLOCKDEV] = S_IFBLK};

	return types[type];
}

void cf_node_stat(const struct cf_node *node, uint64_t ino, struct stat *st)
{
	const struct cf_entry *e = &node->entry;

	*st = (struct stat){0};
	st->st_ino = ino;
	st->st_mode = type_of(e->type) | e->mode;
	st->st_nlink = e->type == CF_ENTRY_DIR ? 2 : e->nlink ? e->nlink : 1;
	st->st_uid = e->uid;
	st->st_gid = e->gid;
	st->st_rdev = makedev(e->rdev_major, e->rdev_minor);
	st->st_size = e->type == CF_ENTRY_FILE	    ? (off_t)node->content.size
		      : e->type == CF_ENTRY_SYMLINK ? (off_t)strlen(e->target)
						    : 0;
	st->st_blksize = 128 << 10;
	st->st_blocks = (st->st_size + 511) / 512;
	st->st_mtim = time_of(e->mtime_ns);
	st->st_atim = st->st_mtim;
	st->st_ctim = e->ctime_ns ? time_of(e->ctime_ns) : st->st_mtim;
}

/* A view's folder is of the time of the newest thing in it; nobody knows it, so of none. */
static void view_stat(const struct cf_inode *inode, struct stat *st)
{
	bool is_link = inode->kind == CF_VIEW_LINK;

	*st = (struct stat){0};
	st->st_ino = inode->ino;
	st->st_mode = is_link ? S_IFLNK | 0777 : S_IFDIR | 0555;
	st->st_nlink = is_link ? 1 : 2;
	st->st_size = is_link ? (off_t)strlen(inode->key) : 0;
	if (inode->shot)
		st->st_mtim = st->st_ctim = st->st_atim = time_of(inode->shot->snapshot->time_ns);
}

void cf_inode_stat(const struct cf_inode *inode, struct stat *st)
{
	if (inode->node)
		cf_node_stat(inode->node, inode->ino, st);
	else
		view_stat(inode, st);
}

bool cf_inode_is_dir(const struct cf_inode *inode)
{
	return inode->node ? inode->node->entry.type == CF_ENTRY_DIR : inode->kind != CF_VIEW_LINK;
}

static const char *name_of(const struct cf_inode *inode)
{
	if (inode->node && inode->node->entry.name[0])
		return inode->node->entry.name;
	return inode->shot ? inode->shot->name : inode->key ? inode->key : "";
}

int cf_inodes_path(struct cf_inodes *inodes, const struct cf_inode *inode, struct cf_buf *out,
		   struct cf_err *err)
{
	const char *names[64];
	size_t n = 0;
	int rc = 0;

	cf_buf_clear(out);
	pthread_mutex_lock(&inodes->lock);
	/* Of a path that is deeper, or whose start the kernel has forgotten, the end must do. */
	while (inode && inode->node && n < sizeof(names) / sizeof(names[0])) {
		names[n++] = name_of(inode);
		inode = inode->parent ? *place_of(inodes, inode->parent) : NULL;
	}
	while (rc == 0 && n > 0)
		rc = cf_buf_printf(out, err, "%s%s", out->len ? "/" : "", names[--n]);
	pthread_mutex_unlock(&inodes->lock);
	return rc < 0 ? rc : cf_buf_append(out, "", 1, err);
}
