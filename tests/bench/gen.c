/*
 * Generates benchmark data, the same for the same arguments everywhere.
 *
 *     gen text  FILE MIB SEED DAY     a table as COPY writes it, one row a line, in primary key
 * order gen pages FILE MIB SEED DAY     8 KiB database pages: header, item pointers, tuples from
 * the end gen random FILE MIB SEED        bytes that do not compress gen files FOLDER COUNT SEED
 * small files of program-like text, 1000 to a folder
 *
 * DAY 1 is the first state; each later day changes one per cent of what the day before held, at
 * random places: text 60 % updates, 20 % deletes, 20 % inserts; pages: tuples updated in place of a
 * dead one. Whether a row changed on a day is a hash of (seed, day, row), so any day is made
 * without the days before it.
 */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static uint64_t mix3(uint64_t a, uint64_t b, uint64_t c)
{
	return mix(mix(mix(a) ^ b) ^ c);
}

static const char *const words[] = {
	"account", "balance", "carrier",  "delivery", "express", "final",    "gadget",	 "handle",
	"invoice", "journal", "keyboard", "ledger",   "monthly", "notebook", "order",	 "payment",
	"quarter", "refund",  "shipment", "total",    "urgent",	 "voucher",  "warranty", "yearly",
	"bright",  "copper",  "silver",	  "golden",   "quiet",	 "rapid",    "steady",	 "wooden"};

static const char *word(uint64_t bits)
{
	return words[bits % (sizeof(words) / sizeof(words[0]))];
}

/* About 170 bytes; version picks the columns that an update changes. */
static size_t make_row(char *out, size_t size, uint64_t seed, uint64_t key, uint64_t version)
{
	uint64_t a = mix3(seed, key, 1), b = mix3(seed, key, 2), v = mix3(seed, key, 16 + version);

	return (size_t)snprintf(
		out, size,
		"%llu\t%llu\t20%02u-%02u-%02u %02u:%02u:%02u\t%s\t%u.%02u\t%s "
		"%s\t%s.%s%u@example.com\t%08llx%08llx\t%s %s %s %s\n",
		(unsigned long long)key, (unsigned long long)(a % 500009),
		(unsigned)(15 + key / 400000 % 10), (unsigned)(1 + key / 33000 % 12),
		(unsigned)(1 + key / 1200 % 28), (unsigned)(a >> 20) % 24, (unsigned)(a >> 28) % 60,
		(unsigned)(v >> 8) % 60, word(v >> 16), (unsigned)(v >> 24) % 10000,
		(unsigned)(v >> 40) % 100, word(a >> 32), word(a >> 40), word(b), word(b >> 8),
		(unsigned)(b >> 16) % 1000, (unsigned long long)(v & 0xffffffffu),
		(unsigned long long)(b >> 32), word(a >> 48), word(a >> 54), word(b >> 24),
		word(b >> 30));
}

enum change { KEPT, UPDATED, DELETED, FOLLOWED };

static enum change change_of(uint64_t seed, uint64_t key, uint64_t day)
{
	uint64_t h = mix3(seed ^ 0xda7, key, day);

	if (h % 100 != 0)
		return KEPT;
	h = h / 100 % 10;
	return h < 6 ? UPDATED : h < 8 ? DELETED : FOLLOWED;
}

/* Write the rows of one key as of a day: none when it was deleted, more when others were inserted
 * behind it. */
static uint64_t put_key(FILE *out, uint64_t seed, uint64_t key, uint64_t day)
{
	uint64_t version = 0, n_followers = 0, written = 0;
	int is_there = 1;
	char row[512];

	for (uint64_t d = 2; d <= day; d++) {
		switch (change_of(seed, key, d)) {
		case UPDATED:
			version = d;
			break;
		case DELETED:
			is_there = 0;
			break;
		case FOLLOWED:
			n_followers++;
			break;
		case KEPT:
			break;
		}
	}
	if (is_there)
		written += fwrite(row, 1, make_row(row, sizeof(row), seed, key, version), out);
	for (uint64_t i = 0; i < n_followers; i++)
		written += fwrite(
			row, 1, make_row(row, sizeof(row), seed + 1 + i, key + 100000000, 0), out);
	return written;
}

static void make_text(FILE *out, uint64_t len, uint64_t seed, uint64_t day)
{
	/* The keys are those of day 1, whatever the length of a later day. */
	char row[512];
	uint64_t first_day = 0;

	for (uint64_t key = 1; first_day < len; key++) {
		first_day += make_row(row, sizeof(row), seed, key, 0);
		put_key(out, seed, key, day);
	}
}

static void put16(unsigned char *at, unsigned value)
{
	at[0] = (unsigned char)value;
	at[1] = (unsigned char)(value >> 8);
}

enum { PAGE_LEN = 8192, PAGE_HEADER = 24 };

static void make_page(unsigned char *page, uint64_t seed, uint64_t number, uint64_t day)
{
	unsigned lower = PAGE_HEADER, upper = PAGE_LEN;
	uint64_t lsn = 0;
	char row[512];

	memset(page, 0, PAGE_LEN);
	for (uint64_t slot = 0;; slot++) {
		uint64_t key = number * 64 + slot, version = 0;
		size_t len;

		for (uint64_t d = 2; d <= day; d++) {
			if (change_of(seed, key, d) != KEPT) {
				version = d;
				lsn = d << 40 | number;
			}
		}
		len = make_row(row, sizeof(row), seed, key, version) & ~(size_t)7;
		if (upper < lower + 4 + 24 + len)
			break;
		upper -= 24 + (unsigned)len;
		memcpy(page + upper + 24, row, len);
		put16(page + upper, version ? (unsigned)(1000 + version) : 700);
		put16(page + upper + 12, (unsigned)number);
		put16(page + upper + 16, (unsigned)slot + 1);
		put16(page + upper + 18, 0x0902);
		put16(page + lower, upper);
		put16(page + lower + 2, 24 + (unsigned)len);
		lower += 4;
	}
	memcpy(page, &lsn, sizeof(lsn));
	put16(page + 12, lower);
	put16(page + 14, upper);
	put16(page + 16, PAGE_LEN);
	put16(page + 18, PAGE_LEN | 4);
}

static void make_pages(FILE *out, uint64_t len, uint64_t seed, uint64_t day)
{
	unsigned char page[PAGE_LEN];

	for (uint64_t number = 0; number * PAGE_LEN < len; number++) {
		make_page(page, seed, number, day);
		fwrite(page, 1, sizeof(page), out);
	}
}

static void make_random(FILE *out, uint64_t len, uint64_t seed)
{
	uint64_t block[512];

	for (uint64_t done = 0; done < len; done += sizeof(block)) {
		for (unsigned i = 0; i < 512; i++)
			block[i] = mix(seed ^ (done + i));
		fwrite(block, 1, sizeof(block), out);
	}
}

static void make_program_text(FILE *out, uint64_t seed)
{
	uint64_t h = mix(seed), n_lines = 5 + h % 300;

	for (uint64_t i = 0; i < n_lines; i++) {
		uint64_t b = mix3(seed, i, 7);

		fprintf(out, "\t%s_%s(%s, %llu);\t/* %s %s */\n", word(b), word(b >> 8),
			word(b >> 16), (unsigned long long)(b >> 44) % 1000, word(b >> 24),
			word(b >> 30));
	}
}

static FILE *create(const char *path)
{
	FILE *out = fopen(path, "wb");

	if (!out) {
		fprintf(stderr, "gen: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	setvbuf(out, NULL, _IOFBF, 1 << 20);
	return out;
}

static void finish(FILE *out, const char *path)
{
	if (ferror(out) | fclose(out)) {
		fprintf(stderr, "gen: %s: write failed\n", path);
		exit(1);
	}
}

static void make_files(const char *folder, uint64_t count, uint64_t seed)
{
	char path[4096];

	mkdir(folder, 0755);
	for (uint64_t i = 0; i < count; i++) {
		FILE *out;

		snprintf(path, sizeof(path), "%s/%03llu", folder, (unsigned long long)(i / 1000));
		if (i % 1000 == 0)
			mkdir(path, 0755);
		snprintf(path, sizeof(path), "%s/%03llu/%s_%06llu.c", folder,
			 (unsigned long long)(i / 1000), word(mix(i)), (unsigned long long)i);
		out = create(path);
		setvbuf(out, NULL, _IOFBF, 1 << 15);
		make_program_text(out, seed + i);
		finish(out, path);
	}
}

int main(int argc, char **argv)
{
	uint64_t amount, seed, day;
	const char *kind, *path;
	FILE *out;

	if (argc < 5) {
		fprintf(stderr,
			"usage: gen text|pages|random|files PATH MIB-OR-COUNT SEED [DAY]\n");
		return 2;
	}
	kind = argv[1];
	path = argv[2];
	amount = strtoull(argv[3], NULL, 10);
	seed = strtoull(argv[4], NULL, 10);
	day = argc > 5 ? strtoull(argv[5], NULL, 10) : 1;
	if (strcmp(kind, "files") == 0) {
		make_files(path, amount, seed);
		return 0;
	}
	out = create(path);
	if (strcmp(kind, "text") == 0)
		make_text(out, amount << 20, seed, day);
	else if (strcmp(kind, "pages") == 0)
		make_pages(out, amount << 20, seed, day);
	else
		make_random(out, amount << 20, seed);
	finish(out, path);
	return 0;
}
