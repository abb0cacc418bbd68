/* coffer key */

#include "base/err.h"
#include "cli/audited.h"
#include "cli/cli.h"
#include "cli/doc.h"
#include "cli/escape.h"
#include "cli/identity.h"
#include "cli/output.h"
#include "cli/secrets.h"
#include "repo/key_admin.h"
#include "repo/keys.h"
#include "repo/prune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_DIGITS = 8 };

/* The repository with what opened it, and what a new slot would say of its maker. */
struct session {
	struct cf_cli *cli;
	struct cf_secrets secrets;
	struct cf_repo *repo;
	char *host, *user;
	struct cf_slot_about about;
	struct cf_audited audited;
	bool is_dry; /* changes nothing: no record */
};

static const char *role_name(enum cf_key_role role)
{
	return role == CF_ROLE_FULL ? "full" : role == CF_ROLE_WRITE ? "write" : "";
}

/* What is to know of a slot besides its facts: one word a programmer may compare. */
static const char *state_of(const struct cf_key_info *info)
{
	if (info->version == 0)
		return "damaged";
	if (!info->is_trusted)
		return "untrusted";
	if (info->is_removed)
		return "removed";
	return info->is_behind ? "behind" : "ok";
}

static int open_session(struct session *session, struct cf_cli *cli, struct cf_err *err)
{
	const char *comment = cf_args_text(cli->args, CF_OPT_COMMENT);
	int rc;

	*session = (struct session){.cli = cli};
	if (comment && !cf_utf8_valid(comment))
		return cf_err_set(err, CF_ERR_USAGE, "--comment: '%s' is not UTF-8", comment);
	rc = cf_identity_texts(&session->host, &session->user, err);
	session->about = (struct cf_slot_about){
		.host = session->host, .user = session->user, .comment = comment ? comment : ""};
	return rc == 0 ? cf_cli_open_keyed(cli, &session->secrets, &session->repo, err) : rc;
}

static void close_session(struct session *session)
{
	cf_repo_close(session->repo);
	cf_secrets_release(&session->secrets);
	free(session->host);
	free(session->user);
}

/* The names by which the store, and coffer check, know the slot. */
static struct cf_doc objects_json(const struct cf_key_list *list, const struct cf_key_info *info)
{
	struct cf_doc objects = cf_doc_array();

	for (size_t i = 0; i < list->objects->n; i++)
		if (memcmp(list->objects->items[i].id, info->id, CF_SLOT_ID_LEN) == 0)
			cf_doc_push_text(&objects, list->objects->items[i].name);
	return objects;
}

static struct cf_doc info_json(const struct cf_key_list *list, const struct cf_key_info *info)
{
	struct cf_doc item = cf_doc_object(), objects = objects_json(list, info);

	cf_doc_text(&item, "id", info->id_text);
	cf_doc_text(&item, "kind", info->kind);
	cf_doc_text(&item, "role", info->version ? role_name(info->role) : NULL);
	cf_doc_text(&item, "created", info->version ? cf_text_rfc3339(info->created_ns).s : NULL);
	cf_doc_text(&item, "host", info->about.host);
	cf_doc_text(&item, "user", info->about.user);
	cf_doc_text(&item, "comment", info->about.comment);
	cf_doc_text(&item, "state", state_of(info));
	cf_doc_text(&item, "problem", info->problem);
	cf_doc_count(&item, "record", info->version);
	cf_doc_flag(&item, "in_use", info->in_use);
	cf_doc_put(&item, "objects", &objects);
	return item;
}

static int print_list_json(const struct cf_key_list *list, struct cf_err *err)
{
	struct cf_doc document = cf_doc_begin(), items = cf_doc_array();

	for (size_t i = 0; i < list->n; i++) {
		struct cf_doc item = info_json(list, &list->items[i]);

		cf_doc_push(&items, &item);
	}
	cf_doc_put(&document, "keys", &items);
	return cf_doc_print(&document, stdout, err);
}

static int add_row(struct cf_table *table, const struct cf_key_info *info, struct cf_err *err)
{
	char id[SHOWN_DIGITS + 1], by[600] = "";
	const char *cells[7];
	int rc = 0;

	snprintf(id, sizeof(id), "%.*s", SHOWN_DIGITS, info->id_text);
	if (info->about.host)
		snprintf(by, sizeof(by), "%s@%s", info->about.user, info->about.host);
	cells[0] = id;
	cells[1] = info->kind ? info->kind : "";
	cells[2] = role_name(info->role);
	cells[4] = by;
	cells[5] = info->in_use && !info->is_behind && !info->is_removed ? "in use" : state_of(info);
	cells[6] = info->about.comment ? info->about.comment : "";
	for (size_t i = 0; rc == 0 && i < 7; i++) {
		if (i == 3)
			rc = cf_table_add(
				table, info->version ? cf_text_time(info->created_ns).s : "", err);
		else
			rc = cf_table_add(table, cells[i], err);
	}
	return rc;
}

static int print_list_text(const struct cf_key_list *list, struct cf_err *err)
{
	static const char *const heading[] = {"ID", "KIND",  "ROLE",   "MADE",
					      "BY", "STATE", "COMMENT"};
	struct cf_table table;
	int rc = 0;

	cf_table_init(&table, "lllllll");
	for (size_t i = 0; rc == 0 && i < 7; i++)
		rc = cf_table_add(&table, heading[i], err);
	for (size_t i = 0; rc == 0 && i < list->n; i++)
		rc = add_row(&table, &list->items[i], err);
	if (rc == 0)
		cf_table_print(&table, stdout);
	cf_table_release(&table);
	return rc;
}

static int list_keys(struct session *session, struct cf_err *err)
{
	struct cf_key_list list = {0};
	int rc = cf_key_list_load(session->repo, &list, err);

	if (rc == 0)
		rc = session->cli->json ? print_list_json(&list, err) : print_list_text(&list, err);
	cf_key_list_release(&list);
	return rc;
}

/* What a command that changes one slot has done. */
static int report_slot(const struct session *session, const char *action, const char *id,
		       const struct cf_secrets *fresh, bool is_done, struct cf_err *err)
{
	struct cf_doc document;

	if (session->cli->json) {
		document = cf_doc_begin();
		cf_doc_text(&document, "action", action);
		cf_doc_text(&document, "id", id);
		cf_doc_flag(&document, "done", is_done);
		cf_doc_text(&document, "key_file_made", fresh ? fresh->made : NULL);
		return cf_doc_print(&document, stdout, err);
	}
	if (session->cli->quiet)
		return 0;
	printf("%s%s key slot %.*s%s\n", is_done ? "" : "would have ", action, SHOWN_DIGITS, id,
	       is_done ? "" : "; --yes does it");
	if (fresh && fresh->made) {
		fputs("made the key file ", stdout);
		cf_escape_print(stdout, fresh->made, CF_ESCAPE_NAME);
		fputc('\n', stdout);
	}
	return 0;
}

/* The slot in use keeps its comment under another secret, unless one is given. keeper owns the
 * text. */
static int keep_comment(struct session *session, struct cf_key_list *keeper, struct cf_err *err)
{
	int rc = cf_key_list_load(session->repo, keeper, err);

	if (cf_args_text(session->cli->args, CF_OPT_COMMENT))
		return rc;
	for (size_t i = 0; rc == 0 && i < keeper->n; i++)
		if (keeper->items[i].in_use && keeper->items[i].about.comment)
			session->about.comment = keeper->items[i].about.comment;
	return rc;
}

static int replace_slot(struct session *session, const struct cf_credentials *credentials, char *id,
			struct cf_err *err)
{
	struct cf_key_list keeper = {0};
	int rc = keep_comment(session, &keeper, err);

	if (rc == 0)
		rc = cf_key_replace(session->repo, credentials, &session->about, id, err);
	cf_key_list_release(&keeper);
	return rc;
}

static int add_slot(struct session *session, const struct cf_credentials *credentials, char *id,
		    struct cf_err *err)
{
	const char *role = cf_args_text(session->cli->args, CF_OPT_ROLE);
	bool write_only = role && strcmp(role, "write") == 0;

	cf_audited_about(&session->audited, "role", write_only ? "write" : "full");
	return cf_key_add(session->repo, write_only ? CF_ROLE_WRITE : CF_ROLE_FULL, credentials,
			  &session->about, id, err);
}

/* add and passwd: both make a slot for a new secret. */
static int make_slot(struct session *session, bool replace, struct cf_err *err)
{
	char id[2 * CF_SLOT_ID_LEN + 1] = "";
	struct cf_credentials credentials;
	struct cf_secrets fresh = {0};
	int rc = cf_repo_require_full(session->repo, err);

	if (rc == 0)
		rc = cf_secrets_load_new(session->cli->args, &session->cli->ctx, &fresh, err);
	if (rc == 0) {
		credentials = cf_secrets_credentials(&fresh);
		rc = replace ? replace_slot(session, &credentials, id, err)
			     : add_slot(session, &credentials, id, err);
	}
	if (id[0])
		cf_audited_about(&session->audited, "key", id);
	if (rc == 0)
		rc = report_slot(session, replace ? "replaced the one in use by" : "added", id,
				 &fresh, true, err);
	else if (!id[0]) /* else there may be a slot that it opens */
		cf_secrets_undo(&fresh);
	cf_secrets_release(&fresh);
	return rc;
}

static int remove_slot(struct session *session, struct cf_err *err)
{
	bool yes = cf_args_has(session->cli->args, CF_OPT_YES);
	const struct cf_key_info *info = NULL;
	struct cf_key_list list = {0};
	int rc = cf_key_list_load(session->repo, &list, err);

	session->is_dry = !yes;
	if (rc == 0)
		rc = cf_key_list_find(&list, session->cli->args->operands[1], &info, err);
	if (rc == 0)
		cf_audited_about(&session->audited, "key", info->id_text);
	if (rc == 0)
		rc = cf_key_remove(session->repo, info, yes, !yes, err);
	if (rc == 0)
		rc = report_slot(session, "removed", info->id_text, NULL, yes, err);
	if (rc == 0 && yes && !session->cli->quiet && !session->cli->json)
		puts("whoever copied its keys can still read what is stored; `coffer key rotate` "
		     "shuts "
		     "them out of new backups");
	cf_key_list_release(&list);
	return rc;
}

/* Slots that a rotation cannot carry go on with the old epochs only; that must be wanted. */
static int check_left_behind(struct session *session, struct cf_err *err)
{
	const struct cf_key_info *left = NULL;
	struct cf_key_list list = {0};
	size_t n = 0;
	int rc = cf_key_list_load(session->repo, &list, err);

	for (size_t i = 0; rc == 0 && i < list.n; i++) {
		if (cf_key_is_carried(&list.items[i]) || list.items[i].is_behind || list.items[i].is_removed)
			continue;
		left = &list.items[i];
		n++;
	}
	if (rc == 0 && left && !cf_args_has(session->cli->args, CF_OPT_YES))
		rc = cf_err_set(
			err, CF_ERR_BUSY,
			"key slot %.8s%s cannot be given the new data epoch and would not read new "
			"backups: "
			"remove it, renew it by coffer key passwd, or leave it behind with --yes",
			left->id_text, n > 1 ? " (and others)" : "");
	cf_key_list_release(&list);
	return rc;
}

static int report_rotation(const struct session *session, const struct cf_key_rotation *rotation,
			   struct cf_err *err)
{
	struct cf_doc document;

	if (session->cli->json) {
		document = cf_doc_begin();
		cf_doc_text(&document, "action", "rotated");
		cf_doc_flag(&document, "new_epoch", rotation->is_new);
		cf_doc_count(&document, "epochs", rotation->n_epochs);
		cf_doc_count(&document, "keys", rotation->n_slots);
		return cf_doc_print(&document, stdout, err);
	}
	if (session->cli->quiet)
		return 0;
	if (rotation->is_new)
		printf("new backups have a new key now; %s it\n",
		       cf_text_count(rotation->n_slots, "key slot has", "key slots have").s);
	else
		printf("finished a rotation that was interrupted: %s; run it again for a new "
		       "epoch\n",
		       cf_text_count(rotation->n_slots, "key slot brought up to date",
				     "key slots brought up to date")
			       .s);
	return 0;
}

static int rotate(struct session *session, struct cf_err *err)
{
	const struct cf_credentials credentials = cf_secrets_credentials(&session->secrets);
	struct cf_key_rotation rotation;
	int rc = cf_repo_require_full(session->repo, err);

	if (rc == 0)
		rc = check_left_behind(session, err);
	if (rc == 0)
		rc = cf_key_rotate(session->repo, &credentials, &session->about, &rotation, err);
	if (rc < 0)
		return rc;
	cf_audited_figure(&session->audited, "epochs", rotation.n_epochs);
	cf_audited_figure(&session->audited, "keys", rotation.n_slots);
	return report_rotation(session, &rotation, err);
}

static int report_reencryption(const struct session *session, const struct cf_prune_figures *f, struct cf_err *err)
{
	struct cf_doc document;

	if (session->cli->json) {
		document = cf_doc_begin();
		cf_doc_text(&document, "action", session->is_dry ? "none" : "reencrypted");
		cf_doc_count(&document, "packs", f->packs_repacked);
		cf_doc_count(&document, "bytes", f->bytes_repacked);
		cf_doc_count(&document, "packs_left", f->packs_left);
		cf_doc_count(&document, "bytes_left", f->bytes_left);
		return cf_doc_print(&document, stdout, err);
	}
	if (f->packs_repacked + f->packs_left == 0)
		puts("everything that is needed is encrypted under the newest epoch");
	else
		printf("%s %s, %s\n", session->is_dry ? "to encrypt anew:" : "encrypted anew:",
		       cf_text_count(f->packs_repacked, "pack", "packs").s, cf_text_size(f->bytes_repacked).s);
	if (f->packs_left)
		printf("left for another run: %s, %s\n", cf_text_count(f->packs_left, "pack", "packs").s,
		       cf_text_size(f->bytes_left).s);
	if (session->is_dry)
		puts("nothing was done, --yes does it");
	else if (f->packs_repacked)
		puts("the old packs are gone after a day, with the next coffer prune --yes; until then they can be read by whoever "
		     "kept an old key");
	return 0;
}

/* What is needed of packs of older epochs is copied into new ones; the old ones go as prune has it, beside running backups. */
static int reencrypt(struct session *session, struct cf_err *err)
{
	const struct cf_args *args = session->cli->args;
	struct cf_prune_options options = {.host = session->host,
					   .user = session->user,
					   .grace_ns = INT64_C(24) * 3600 * 1000000000,
					   .max_repack = cf_args_text(args, CF_OPT_MAX_REPACK)
								 ? cf_args_number(args, CF_OPT_MAX_REPACK)
								 : 0,
					   .reencrypt = true,
					   .dry_run = !cf_args_has(args, CF_OPT_YES)};
	struct cf_prune_figures figures;
	int rc = cf_prune_run(session->repo, &options, &figures, err);

	session->is_dry = options.dry_run;
	if (rc < 0)
		return rc;
	cf_audited_figure(&session->audited, "packs_reencrypted", figures.packs_repacked);
	return report_reencryption(session, &figures, err);
}

static int change_keys(struct session *session, const char *action, struct cf_err *err)
{
	int rc;

	cf_audited_begin(&session->audited, session->cli, action);
	if (session->about.comment[0])
		cf_audited_about(&session->audited, "comment", session->about.comment);
	if (strcmp(action, "remove") == 0)
		rc = remove_slot(session, err);
	else if (strcmp(action, "rotate") == 0)
		rc = rotate(session, err);
	else if (strcmp(action, "reencrypt") == 0)
		rc = reencrypt(session, err);
	else
		rc = make_slot(session, strcmp(action, "passwd") == 0, err);
	if (!session->is_dry)
		return cf_audited_end(&session->audited, session->repo, rc, err);
	cf_audited_drop(&session->audited);
	return rc;
}

static int check_arguments(const struct cf_args *args, struct cf_err *err)
{
	bool is_remove = strcmp(args->operands[0], "remove") == 0;

	if (is_remove && args->n_operands < 2)
		return cf_err_set(err, CF_ERR_USAGE,
				  "key remove needs the id of a slot: see coffer key list");
	if (!is_remove && args->n_operands > 1)
		return cf_err_set(err, CF_ERR_USAGE, "key: unexpected argument '%s'",
				  args->operands[1]);
	if (cf_args_given(args, CF_OPT_ROLE) && strcmp(args->operands[0], "add") != 0)
		return cf_err_set(err, CF_ERR_USAGE,
				  "--role is for key add: a slot keeps its role");
	return 0;
}

int cf_cmd_key(struct cf_cli *cli, struct cf_err *err)
{
	const char *action = cli->args->operands[0];
	struct session session = {0};
	int rc = check_arguments(cli->args, err);

	if (rc == 0)
		rc = open_session(&session, cli, err);
	if (rc < 0)
		goto out;
	if (strcmp(action, "list") == 0)
		rc = list_keys(&session, err);
	else
		rc = change_keys(&session, action, err);
out:
	close_session(&session);
	return rc;
}
