/*
 * Removing packs without locks (docs/design.md, "Removing packs"): writers, pruners, a tagger and a forgetter on one store, for Spin.
 * tests/model/run explores it whole for the bounds it lists, and holds that each BREAK_ option makes it fail.
 *
 * What is modelled, by the steps of the protocol:
 *
 *   W1 put the lease, the fence of the run     Writer   cf_lease_begin
 *   W2 list tombs, segments, packs             Writer   begin_run of repo/writer.c, cf_catalog_begin_run
 *   W3 store packs, adopt orphans, segment     Writer   repo/packer.c, cf_catalog_publish
 *   W4 put the intent  W5 look for the fence   Writer   cf_lease_declare
 *   W6 put the snapshot  W7 clean up           Writer   cf_writer_commit, cf_lease_end
 *   M5 copy what thin packs hold               Pruner   repo/prune_repack.c
 *   M6 put the tomb                            Pruner   put_tomb of repo/prune.c
 *   S1 list leases, fence runs                 Pruner   judge_tombs, shut_out of repo/prune.c
 *   S2 list tombs, intents, snapshots, segments, packs   look of repo/prune.c
 *   S3 what is live, and where it stays        Pruner   repo/prune_plan.c
 *   S4 supersede segments  S5 remove packs  S6 remove the tomb   repo/prune_sweep.c
 *   a tag or a hold is changed                 Tagger   repo/snapshot.c
 *   forget                                     Forgetter  repo/forget.c
 *
 * Held: a snapshot that was committed and not forgotten finds its chunks, and the bases of deltas, in packs that exist and (INDEX)
 * that a segment names. A sweep with which nothing else is at work is never stopped by damage. Nobody waits for ever.
 *
 * Clocks: none. A lease may count as stale at any time, so a sweep may fence any run at any time; where it would wait instead it has
 * done nothing yet. The one thing the protocol leaves to a clock, that intents of 7 days are dropped, is left out: they never are.
 * Kills: a process may stop at any step for good, as any interleaving lets it; CRASHES adds pruners that are run again after it, and
 * lets sweeps be alone with what dead writers left.
 * Mark: condemns any packs at any time, whatever is live. So nothing that it looks at matters for safety, only for the work done.
 * Lists: sees of what was put or removed while it ran any part (list_end). One begins with the step before it, and one that
 * ends does so with the step after it: a list that takes longer sees everything that a shorter one may see.
 * Names are not used again: an object that was removed is never put a second time.
 *
 * Forget: names all versions of a snapshot that it sees, and nobody is owed those from then on.
 */

/* The bounds. */
#ifndef NW
#define NW 1		/* writers */
#endif
#ifndef NP
#define NP 1		/* pruners */
#endif
#ifndef MARKS
#define MARKS 1		/* of the first pruner */
#endif
#ifndef MARKS1
#define MARKS1 0	/* of the second */
#endif
#ifndef MARKABLE
#define MARKABLE 255	/* packs that the first one may condemn */
#endif
#ifndef MARKABLE1
#define MARKABLE1 MARKABLE	/* and the second */
#endif
#ifndef SWEEPS
#define SWEEPS 1	/* of each pruner */
#endif
#ifndef FORGETS
#define FORGETS 0
#endif
#ifndef TAGS
#define TAGS 0
#endif
#ifndef REPACK
#define REPACK 0	/* whether mark copies packs */
#endif
#ifndef INDEX
#define INDEX 0		/* whether there are segments; else contents of packs are known */
#endif
#ifndef CRASHES
#define CRASHES 0	/* in all */
#endif
#ifndef WROOTS
#define WROOTS NEED_A	/* a writer backs up some of these chunks */
#endif
#ifndef FIRST_ROOT
#define FIRST_ROOT 0	/* a snapshot of these chunks is there at first */
#endif
#ifndef N0
#define N0 1		/* packs that are there at first, and what they hold */
#endif
#ifndef CONT0
#define CONT0 HAS_A
#endif
#ifndef CONT1
#define CONT1 0
#endif
#ifndef CONT2
#define CONT2 0
#endif
#ifndef ORPHANS
#define ORPHANS 0	/* of those, packs that no segment names */
#endif

/* Chunks that a root needs; copies that a pack holds. d is stored whole or as a delta against b. */
#define NEED_A 1
#define NEED_B 2
#define NEED_D 4
#define HAS_A 1
#define HAS_B 2
#define HAS_D 4
#define HAS_DELTA 8

#define N_PACKS (N0 + NW + NP)
#define OWN_PACK(w) (N0 + (w))
#define NEW_PACK(p) (N0 + NW + (p))
#define OWN_SEG(w) (1 + (w))
#define NEW_SEG(p) (1 + NW + (p))
#define SWEEP_SEG(p) (1 + NW + NP + (p) * SWEEPS + sweeps)
#define N_SEGS (1 + NW + NP + NP * SWEEPS)
#define TOMB(p) ((p) * MARKS + marks)
#define N_TOMBS (MARKS + MARKS1)
#define SNAP(w) (1 + (w))
#define TAGGED(k) (1 + NW + (k))
#define BEFORE(n) ((n) == 0 -> 0 : TAGGED((n) - 1))

/* The store. Bit i of a mask says that object i exists. */
byte packs, segs = 1, tombs, leases, intents, snaps;
byte records;		/* of forgetting: the snapshots they name */
byte contents[N_PACKS];
byte names[N_SEGS];	/* the packs that a segment lists */
byte condemned[N_TOMBS];
byte seen[NW + 1];	/* of the second lease object of a run */
#define N_SNAPS (1 + NW + TAGS)
byte root[N_SNAPS];	/* of snapshots, and of the intents of writers: the chunks they need */

/* Ghosts */
byte owed;		/* snapshots committed and not forgotten */
byte dropped;		/* versions that a forget has decided to remove: nobody is owed them */
byte busy;		/* writers, taggers, forgetters that run, and sweeps */
bool alone;		/* a sweep runs, and nothing else has since it began */
byte crashes;

/* Lists under way */
#define NONE 0
#define PACKS 1
#define SEGS 2
#define TOMBS 3
#define LEASES 4
#define INTENTS 5
#define SNAPS 6
#define RECORDS 7
#if FORGETS
#define N_LISTERS (NW + NP + TAGS + 1)
#else
#define N_LISTERS (NW + NP + TAGS)
#endif
byte listing[N_LISTERS];
byte changed[N_LISTERS];

#define BIT(i) (1 << (i))
#define HAS(mask, i) (((mask) >> (i)) & 1)

#define C(m, i) (HAS(m, i) -> contents[i] : 0)
#if N0 + NW + NP == 2
#define COPIES(m) (C(m, 0) | C(m, 1))
#elif N0 + NW + NP == 3
#define COPIES(m) (C(m, 0) | C(m, 1) | C(m, 2))
#elif N0 + NW + NP == 4
#define COPIES(m) (C(m, 0) | C(m, 1) | C(m, 2) | C(m, 3))
#elif N0 + NW + NP == 5
#define COPIES(m) (C(m, 0) | C(m, 1) | C(m, 2) | C(m, 3) | C(m, 4))
#elif N0 + NW + NP == 6
#define COPIES(m) (C(m, 0) | C(m, 1) | C(m, 2) | C(m, 3) | C(m, 4) | C(m, 5))
#elif N0 + NW + NP == 7
#define COPIES(m) (C(m, 0) | C(m, 1) | C(m, 2) | C(m, 3) | C(m, 4) | C(m, 5) | C(m, 6))
#endif

/* The chunks that can be read where these copies are. */
#define WITH_BASES(u) (((u) & (HAS_A | HAS_B | HAS_D)) | ((((u) & HAS_DELTA) && ((u) & HAS_B)) -> NEED_D : 0))
#define WITHOUT_BASES(u) (((u) & (HAS_A | HAS_B | HAS_D)) | (((u) & HAS_DELTA) -> NEED_D : 0))
#ifdef BREAK_BASES
#define JUDGED(u) WITHOUT_BASES(u)
#define COPIES_OF(c) (((c) & (NEED_A | NEED_B | NEED_D)) | (((c) & NEED_D) -> HAS_DELTA : 0))
#else
#define JUDGED(u) WITH_BASES(u)
#define COPIES_OF(c) (((c) & (NEED_A | NEED_B | NEED_D)) | (((c) & NEED_D) -> HAS_DELTA | HAS_B : 0))
#endif

byte j, u;		/* scratch of single steps; zero between them */
byte got, k;		/* what a list gave; zero between steps */

inline touch(class, bits)
{
	d_step {
		j = 0;
		do
		:: j < N_LISTERS ->
			changed[j] = changed[j] | (listing[j] == class -> bits : 0);
			j++
		:: else -> break
		od;
		j = 0
	}
}

inline put(set, class, bits)
{
	atomic {
		set = set | bits;
		touch(class, bits)
	}
}

inline remove(set, class, bits)
{
	atomic {
		touch(class, set & (bits));
		set = set & ~(bits)
	}
}

/* A list sees, of what changed while it ran, any part. It begins where `listing` is set. */
inline list_end(me, set)
{
	d_step { got = set & ~changed[me]; k = 0 };
	do
	:: HAS(changed[me], k) -> got = got | BIT(k); k++
	:: changed[me] >> k -> k++
	:: else -> break
	od;
	listing[me] = NONE;
	changed[me] = 0;
	k = 0
}

/* got becomes the union of what its objects hold. */
#define UNION_OF(name, masks, n) \
inline name() \
{ \
	d_step { \
		j = 0; \
		u = 0; \
		do \
		:: j < n -> u = u | (HAS(got, j) -> masks[j] : 0); j++ \
		:: else -> break \
		od; \
		got = u; \
		j = 0; \
		u = 0 \
	} \
}
UNION_OF(union_condemned, condemned, N_TOMBS)
UNION_OF(union_names, names, N_SEGS)
UNION_OF(union_root, root, N_SNAPS)

/* The invariant, looked at where it could break. */
inline check()
{
	d_step {
		j = 0;
		u = 0;
#if INDEX
		do
		:: j < N_SEGS -> u = u | (HAS(segs, j) -> names[j] : 0); j++
		:: else -> break
		od;
		u = u & packs;
#else
		u = packs;
#endif
		u = COPIES(u);
		u = WITH_BASES(u);
		j = 0;
		do
		:: j < N_SNAPS -> assert(!HAS(owed, j) || !(root[j] & ~u)); j++
		:: else -> break
		od;
		j = 0;
		u = 0
	}
}

#if CRASHES
#define MAY_DIE(label) if :: atomic { crashes < CRASHES -> crashes++; goto label } :: skip fi
#else
#define MAY_DIE(label) skip
#endif

#if INDEX
#define W2_SECOND SEGS
#else
#define W2_SECOND PACKS
#endif
#ifdef BREAK_TOMBS_LAST
#define W2_FIRST W2_SECOND
#else
#define W2_FIRST TOMBS
#endif

#define READ_TOMBS(next) \
	atomic { \
		list_end(w, tombs); \
		seen[w] = got; \
		union_condemned(); \
		known = got; \
		got = 0; \
		if \
		:: seen[w] -> put(leases, LEASES, BIT(w + 4)) \
		:: else \
		fi; \
		listing[w] = next \
	}

/* W. The second one begins after the first: they are alike. */
proctype Writer(byte w)
{
	byte known;	/* packs that tombs name; later chunks to be stored */
	byte view;	/* packs that segments name */
	byte adopted;	/* packs for the segment */
	byte have;	/* chunks that are there to stay */

	atomic {						/* W1 */
		(w == 0 || root[SNAP(0)]) ->
		do
		:: HAS(WROOTS, 0) && !HAS(root[SNAP(w)], 0) -> root[SNAP(w)] = root[SNAP(w)] | NEED_A
		:: HAS(WROOTS, 2) && !HAS(root[SNAP(w)], 2) -> root[SNAP(w)] = root[SNAP(w)] | NEED_D
		:: root[SNAP(w)] -> break
		od;
		put(leases, LEASES, BIT(w));
		listing[w] = W2_FIRST
	}
	MAY_DIE(dead);
#ifndef BREAK_TOMBS_LAST
	READ_TOMBS(W2_SECOND);					/* W2 */
	MAY_DIE(dead);
#endif
#if INDEX
	atomic {
		list_end(w, segs);
		union_names();
		view = got;
		got = 0;
		listing[w] = PACKS
	}
#endif
#ifdef BREAK_TRUST_INDEX
	atomic {
		listing[w] = NONE;
#else
	atomic {
		list_end(w, packs);
		adopted = (INDEX -> got & ~view : 0);
		view = (INDEX -> view & got : got);
		got = 0;
#endif
#ifdef BREAK_TOMBS_LAST
		listing[w] = TOMBS
	}
	READ_TOMBS(NONE);
	atomic {
#endif
		adopted = adopted & ~known;
		if
		:: adopted -> adopted = 0
		:: skip
		fi;
		view = (view | adopted) & ~known;
		have = COPIES(view);
		have = WITH_BASES(have);
		known = root[SNAP(w)] & ~have;
		contents[OWN_PACK(w)] = known & (HAS_A | HAS_B);
		if
		:: !(known & NEED_D)
		:: known & NEED_D -> contents[OWN_PACK(w)] = contents[OWN_PACK(w)] | HAS_D
		:: (known & NEED_D) && (have & NEED_B) -> contents[OWN_PACK(w)] = contents[OWN_PACK(w)] | HAS_DELTA
		:: known & NEED_D -> contents[OWN_PACK(w)] = contents[OWN_PACK(w)] | HAS_DELTA | HAS_B
		fi;
		view = 0;
		have = 0;
		known = 0;
		if						/* W3 */
		:: contents[OWN_PACK(w)] ->
			put(packs, PACKS, BIT(OWN_PACK(w)));
			adopted = adopted | BIT(OWN_PACK(w))
		:: else
		fi
	}
	MAY_DIE(dead);
#if INDEX
	if
	:: atomic {
		adopted ->
		names[OWN_SEG(w)] = adopted;
		put(segs, SEGS, BIT(OWN_SEG(w)))
	   };
	   MAY_DIE(dead)
	:: else
	fi;
#endif
	adopted = 0;
#ifdef BREAK_CHECK_FIRST
	if
	:: HAS(leases, w)
	:: else -> goto failed
	fi;
#endif
	put(intents, INTENTS, BIT(w));				/* W4 */
	MAY_DIE(dead);
#if !defined(BREAK_FENCE) && !defined(BREAK_CHECK_FIRST)
	if							/* W5 */
	:: HAS(leases, w)
	:: else -> goto failed
	fi;
#endif
	atomic {						/* W6 */
		put(snaps, SNAPS, BIT(SNAP(w)));
		owed = owed | BIT(SNAP(w));
		check()
	}
	MAY_DIE(dead);
failed:
	remove(intents, INTENTS, BIT(w));			/* W7 */
	MAY_DIE(dead);
	remove(leases, LEASES, BIT(w) | BIT(w + 4));
dead:
	atomic { listing[w] = NONE; busy-- }
}

#define ME (NW + p)
#define MAY_CONDEMN (p == 0 -> MARKABLE : MARKABLE1)
#define BEGIN(class) d_step { listing[ME] = class; changed[ME] = 0 }
#if INDEX
#define AFTER_SNAPS SEGS
#else
#define AFTER_SNAPS PACKS
#endif
#if defined(BREAK_SWEEP_TOMBS_LAST) || defined(BREAK_TOMBS_BEFORE_FENCE)
#define AFTER_FENCE INTENTS
#else
#define AFTER_FENCE TOMBS
#endif
/* Fence one of todo; after the last one, the next list begins. */
#define FENCE(next) \
	if \
	:: HAS(todo, 0) -> remove(leases, LEASES, BIT(0)); todo = todo & ~BIT(0) \
	:: HAS(todo, 1) -> remove(leases, LEASES, BIT(1)); todo = todo & ~BIT(1) \
	:: !todo \
	fi; \
	if \
	:: !todo -> BEGIN(next) \
	:: else \
	fi
#define READ_CONDEMNED(next) \
	atomic { \
		list_end(ME, tombs); \
		got = got | BIT(t); \
		union_condemned(); \
		cond = got; \
		got = 0; \
		BEGIN(next) \
	}
#define READ_INTENTS(next) \
	atomic { \
		list_end(ME, intents); \
		got = got << 1; \
		union_root(); \
		live = got; \
		got = 0; \
		BEGIN(next) \
	}
#define PUT_SEGMENT \
	if \
	:: names[SWEEP_SEG(p)] -> put(segs, SEGS, BIT(SWEEP_SEG(p))) \
	:: else \
	fi

/* M and S. Variables are cleared as soon as they are not needed: states that differ in them only are the same then. */
proctype Pruner(byte p)
{
	byte marks, sweeps;
	byte t;		/* the tomb that is swept */
	byte todo;	/* runs to be fenced; later packs of the tomb, then those of them that stay */
	byte live;	/* chunks of intents */
	byte must;	/* chunks of snapshots */
	byte view;	/* packs that are there and that a segment names */
	byte cond;	/* packs that tombs name */
	byte gone;	/* packs to be removed */
	byte old;	/* segments to be removed */

	do
	:: atomic { marks < (p == 0 -> MARKS : MARKS1) && (packs & MAY_CONDEMN) -> busy++; alone = 0 };
#if REPACK
		if						/* M5 */
		:: atomic {
			marks == 0 ->
			if
			:: HAS(packs, 0) -> contents[NEW_PACK(p)] = contents[0]
			:: HAS(packs, 1) -> contents[NEW_PACK(p)] = contents[1]
#if N_PACKS > 2
			:: HAS(packs, 2) -> contents[NEW_PACK(p)] = contents[2]
#endif
			fi
		   };
		   atomic { put(packs, PACKS, BIT(NEW_PACK(p))) };
#if INDEX
		   MAY_DIE(mark_died);
		   atomic {
			names[NEW_SEG(p)] = BIT(NEW_PACK(p));
			put(segs, SEGS, BIT(NEW_SEG(p)))
		   };
#endif
		   MAY_DIE(mark_died)
		:: skip
		fi;
#endif
		atomic {					/* M6 */
			do
			:: k < N_PACKS ->
				if
				:: HAS(packs & MAY_CONDEMN, k) -> got = got | BIT(k)
				:: skip
				fi;
				k++
			:: k == N_PACKS -> break
			od;
			condemned[TOMB(p)] = (got -> got : packs & MAY_CONDEMN);
			put(tombs, TOMBS, BIT(TOMB(p)));
			k = 0;
			got = 0
		}
mark_died:	atomic { marks++; busy-- }
	:: atomic {
#ifdef BREAK_LEASES_FIRST
		sweeps < SWEEPS ->
		BEGIN(LEASES)
	   };
	   atomic {
		list_end(ME, leases);
		todo = got & (BIT(NW) - 1);
		got = 0
	   };
	   atomic {
		tombs || !busy ->
#else
		sweeps < SWEEPS && tombs ->
#endif
		busy++;
		alone = busy == 1;
		do
		:: !HAS(tombs, t) && (tombs >> t) -> t++
		:: HAS(tombs, t) && (tombs >> (t + 1)) -> t++
		:: HAS(tombs, t) || !tombs -> break
		od;
#ifdef BREAK_TOMBS_BEFORE_FENCE
		BEGIN(TOMBS)
	   };
		READ_CONDEMNED(LEASES);
#else
		BEGIN(LEASES)
	   };
#endif
#ifdef BREAK_INTENTS_FIRST
		BEGIN(INTENTS);
		READ_INTENTS(LEASES);
#endif
		atomic {					/* S1 */
#ifndef BREAK_LEASES_FIRST
			list_end(ME, leases);
			do
			:: k < NW ->
				todo = todo | ((HAS(got, k) && !(HAS(got, k + 4) && HAS(seen[k], t))) -> BIT(k) : 0);
				k++
			:: else -> break
			od;
			k = 0;
			got = 0;
#endif
#ifdef BREAK_NO_FENCE
			todo = 0;
#endif
			FENCE(AFTER_FENCE)
		};
		do
		:: atomic { todo -> FENCE(AFTER_FENCE) }
		:: else -> break
		od;
		MAY_DIE(sweep_ended);
#if AFTER_FENCE == TOMBS
		READ_CONDEMNED(INTENTS);			/* S2 */
#endif
#ifdef BREAK_SNAPS_FIRST
		BEGIN(SNAPS);
		atomic { list_end(ME, snaps); union_root(); must = got; got = 0 };
#endif
#ifndef BREAK_INTENTS_FIRST
#if defined(BREAK_SNAPS_FIRST)
		BEGIN(INTENTS);
#endif
		READ_INTENTS(SNAPS);
#endif
#ifndef BREAK_SNAPS_FIRST
#ifdef BREAK_INTENTS_FIRST
		BEGIN(SNAPS);
#endif
		atomic { list_end(ME, snaps); union_root(); must = got; got = 0; BEGIN(AFTER_SNAPS) };
#endif
#if INDEX
#ifdef BREAK_SNAPS_FIRST
		BEGIN(SEGS);
#endif
		atomic { list_end(ME, segs); old = got; union_names(); view = got; got = 0; BEGIN(PACKS) };
#else
#ifdef BREAK_SNAPS_FIRST
		BEGIN(PACKS);
#endif
#endif
#ifdef BREAK_SWEEP_TOMBS_LAST
		atomic { list_end(ME, packs); view = (INDEX -> view & got : got); todo = got & condemned[t]; got = 0; BEGIN(TOMBS) };
		READ_CONDEMNED(NONE);
		atomic {
#else
		atomic {
			list_end(ME, packs);
			view = (INDEX -> view & got : got);
			todo = got & condemned[t];
			got = 0;
#endif
#ifdef BREAK_TRUST_CONDEMNED
			cond = condemned[t];
#endif
			u = COPIES(view);			/* S3 */
			u = JUDGED(u);		/* what can be read */
			gone = todo;
			if
#ifdef BREAK_INTENT_DAMAGE
			:: (must | live) & ~u -> assert(!alone); gone = 0
#else
			:: must & ~u -> assert(!alone); gone = 0
#endif
			:: else ->
				u = COPIES(view & ~cond);
				u = JUDGED(u);
				u = (live | must) & ~u;
				u = COPIES_OF(u);
				do
				:: j < N_PACKS ->
#ifdef BREAK_UNREAD
					gone = gone & ~((HAS(view, j) && (contents[j] & u)) -> BIT(j) : 0);
#else
					gone = gone & ~((contents[j] & u) -> BIT(j) : 0);
#endif
					j++
				:: else -> break
				od
			fi;
#ifdef BREAK_NO_SECOND_WALK
			gone = todo;
#endif
			todo = todo & ~gone;	/* those kept */
			j = 0;
			u = 0;
			live = 0;
			must = 0;
			view = 0;
			cond = 0;
#if INDEX
			do
			:: k < N_SEGS ->
				if
				:: HAS(old, k) && (names[k] & gone) -> got = got | names[k]
				:: else -> old = old & ~BIT(k)
				fi;
				k++
			:: else -> break
			od;
			k = 0;
			names[SWEEP_SEG(p)] = got & ~gone;
			got = 0;
#ifndef BREAK_SEGMENT_ORDER
			PUT_SEGMENT						/* S4 */
#endif
#endif
		};
#if INDEX
		MAY_DIE(sweep_ended);
		do
		:: atomic {
			old ->
			do
			:: HAS(old, k) -> break
			:: else -> k++
			od;
			old = old & ~BIT(k);
			remove(segs, SEGS, BIT(k));
			k = 0;
			check()
		   };
		   MAY_DIE(sweep_ended)
		:: else -> break
		od;
#ifdef BREAK_SEGMENT_ORDER
		atomic { PUT_SEGMENT };
#endif
#endif
#ifdef BREAK_TOMB_FIRST
		remove(tombs, TOMBS, BIT(t));
#endif
		do						/* S5 */
		:: atomic {
			gone ->
			do
			:: HAS(gone, k) -> break
			:: gone >> (k + 1) -> k++
			od;
			gone = gone & ~BIT(k);
			remove(packs, PACKS, BIT(k));
			k = 0;
			check()
		   };
		   MAY_DIE(sweep_ended)
		:: else -> break
		od;
		atomic {					/* S6 */
			if
#ifdef BREAK_LIFT
			:: remove(tombs, TOMBS, BIT(t))
#else
			:: !todo -> remove(tombs, TOMBS, BIT(t))
			:: else
#endif
			fi;
sweep_ended:
			listing[ME] = NONE;
			changed[ME] = 0;
			busy--;
			sweeps++;
			t = 0;
			todo = 0;
			live = 0;
			must = 0;
			gone = 0;
			view = 0;
			cond = 0;
			old = 0
		}
	:: else -> break
	od
}

/* Versions of the first snapshot: 0, then those of taggers. */
#if TAGS
#define TAGGER (NW + NP + n)
proctype Tagger(byte n)
{
	if
	:: atomic {
		HAS(owed, BEFORE(n)) ->
		root[TAGGED(n)] = FIRST_ROOT;
		put(snaps, SNAPS, BIT(TAGGED(n)));
		listing[TAGGER] = RECORDS
	   };
	   atomic {
		list_end(TAGGER, records);
		if
#ifndef BREAK_TAG_UNSEEING
		:: HAS(got, BEFORE(n)) || !HAS(snaps, BEFORE(n)) ->
#else
		:: !HAS(snaps, BEFORE(n)) ->
#endif
			remove(snaps, SNAPS, BIT(TAGGED(n)))
		:: else ->
			owed = owed | (snaps & ~dropped & BIT(TAGGED(n)));
			check()
		fi;
		got = 0
	   }
	:: skip
	fi;
	busy--
}
#endif

#if FORGETS
#define FORGETTER (NW + NP + TAGS)
#define VERSIONS (1 | (BIT(TAGS) - 1) << TAGGED(0))
#define LIST_VERSIONS atomic { listing[FORGETTER] = SNAPS; changed[FORGETTER] = 0 }
proctype Forgetter()
{
	byte named, forgets;

	do
	:: forgets < FORGETS ->
		LIST_VERSIONS;
		atomic {
			list_end(FORGETTER, snaps);
			named = got & VERSIONS;
			got = 0;
			records = records | named;
			touch(RECORDS, named);
			LIST_VERSIONS
		};
		atomic {
			list_end(FORGETTER, snaps);
#ifdef BREAK_FORGET_HEADS
			got = (HAS(got, TAGGED(1)) -> got & ~BIT(TAGGED(0)) : got);
#endif
#ifndef BREAK_FORGET_UNSEEING
			if
			:: named & 1 && TAGS > 0 && HAS(got & ~named, TAGGED(0)) -> forgets = FORGETS
#if TAGS > 1
			:: HAS(named, TAGGED(0)) && HAS(got & ~named, TAGGED(1)) -> forgets = FORGETS
#endif
			:: else
			fi;
#endif
			got = 0;
			if
			:: forgets == FORGETS -> remove(records, RECORDS, named); named = 0
			:: else -> forgets++; owed = owed & ~named; dropped = dropped | named
			fi
		};
		do
		:: atomic {
			named ->
			do
			:: HAS(named, k) -> break
			:: else -> k++
			od;
			named = named & ~BIT(k);
			remove(snaps, SNAPS, BIT(k));
			k = 0
		   }
		:: else -> break
		od
	:: break
	od;
	busy--
}
#endif

init
{
	atomic {
		contents[0] = CONT0;
#if N0 > 1
		contents[1] = CONT1;
#endif
#if N0 > 2
		contents[2] = CONT2;
#endif
		packs = BIT(N0) - 1;
		names[0] = packs & ~(ORPHANS);
#if FIRST_ROOT
		snaps = 1;
		owed = 1;
		root[0] = FIRST_ROOT;
#endif
		check();
		busy = NW + (FORGETS > 0) + TAGS;
#if NW > 0
		run Writer(0);
#endif
#if NW > 1
		run Writer(1);
#endif
		run Pruner(0);
#if NP > 1
		run Pruner(1);
#endif
#if TAGS > 0
		run Tagger(0);
#endif
#if TAGS > 1
		run Tagger(1);
#endif
#if FORGETS
		run Forgetter()
#else
		skip
#endif
	}
}
