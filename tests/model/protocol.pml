/* The protocol by which nothing is lost, small enough for every interleaving to be walked through.
 *
 * A transaction whose rows stay locked until it commits is one atomic step here. Where statements
 * of several transactions can meet (a task's end, its counters, the commit) each is a step.
 * Time is not modelled: a lease may run out, and a process may sleep, between any two steps.
 *
 * Sizes are macros (tests/model/check.py gives them); so are the deliberate defects.
 * Everything that goes wrong is bounded, so that every run ends; when nothing can move
 * any more, the process `Finale` looks at what has become of every task.
 */

/* Sizes ---------------------------------------------------------------------------------------- */

#ifndef BRIDGES
#define BRIDGES 2
#endif
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef BATCHES
#define BATCHES 1       /* at most 2 */
#endif
#ifndef LIVES
#define LIVES 2         /* creations of the job with the same id; all but the last are undone */
#endif
#ifndef EPOCHS
#define EPOCHS 2        /* from this epoch on nothing goes wrong with a batch any more */
#endif
#ifndef DISPATCHES
#define DISPATCHES 2
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 2      /* of the first task that loses a worker; the others have one */
#endif
/* PUBLISHED: the batches are on the broker when the job is created. */
#ifndef CANCELS
#define CANCELS 1
#endif

#define PER_BATCH 2
#define TASKS (BATCHES * PER_BATCH)
#define SLOTS 2
#define RETRY 2         /* the scattered batch: the one task with a second attempt */
#define NONE 255

/* Promises. `hidden` keeps them out of the state; their names tell which one was broken. ------- */

#ifdef ONLY
#define others 0
#else
#define others 1
#endif
/* a write that counts is of the bridge that claimed last */
#ifdef ONLY_fence_holds
hidden byte fence_holds = 1;
#else
hidden byte fence_holds = others;
#endif
/* a task is completed by the worker that started it last */
#ifdef ONLY_last_starter_completes
hidden byte last_starter_completes = 1;
#else
hidden byte last_starter_completes = others;
#endif
/* no message of a creation that was undone runs */
#ifdef ONLY_no_ghost_runs
hidden byte no_ghost_runs = 1;
#else
hidden byte no_ghost_runs = others;
#endif
/* nothing is on the broker of a creation that never committed */
#ifdef ONLY_no_phantom
hidden byte no_phantom = 1;
#else
hidden byte no_phantom = others;
#endif
/* the broker stores no message id twice */
#ifdef ONLY_stored_once
hidden byte stored_once = 1;
#else
hidden byte stored_once = others;
#endif
/* a message is sent twice only if the ledger knows why */
#ifdef ONLY_explained
hidden byte explained = 1;
#else
hidden byte explained = others;
#endif
/* completed, failed, cancelled: for ever */
#ifdef ONLY_terminal_stays
hidden byte terminal_stays = 1;
#else
hidden byte terminal_stays = others;
#endif
/* no counter falls below zero */
#ifdef ONLY_counted_once
hidden byte counted_once = 1;
#else
hidden byte counted_once = others;
#endif
/* the stage ends once, after its last task */
#ifdef ONLY_stage_ends_last
hidden byte stage_ends_last = 1;
#else
hidden byte stage_ends_last = others;
#endif
/* in the end every task has ended, and so has the stage */
#ifdef ONLY_nothing_lost
hidden byte nothing_lost = 1;
#else
hidden byte nothing_lost = others;
#endif

#define promise(name, condition) assert(!(name && !(condition)))

/* The database --------------------------------------------------------------------------------- */

mtype = { pending_queue, publishing, queued };                   /* of a batch; and cancelled */
mtype = { waiting, processing, retry_wait, completed, failed, cancelled };          /* of a task */
mtype = { accepted, refused, unknown };                                             /* of a send */

byte life = 0;          /* the creation that stands (its nonce); 0: none has begun */
bit committed = 0;      /* that creation */

typedef Batch {
    mtype state = pending_queue;
    byte epoch;
    byte dispatch = 1;
    byte through;       /* published_through, counted within the batch */
    byte holder = NONE; /* only for a promise: the bridge that claimed last */
};
Batch batch[3];
byte retried = NONE;    /* the member of the scattered batch */
byte restless = NONE;   /* the batch that may be published again, and lose messages at the broker */

typedef Task {
    mtype state = waiting;
    byte attempt = 1;
    byte token;         /* a worker draws its own number */
    bit locked;         /* the row, by a transaction that ends the task */
};
Task task[4];

byte slot_open[SLOTS];  /* tasks that have not ended */
byte slot_lock[SLOTS];  /* the transaction that has locked the row; 0: none */
byte stage_open;        /* slots with open tasks */
byte stage_lock;
byte ended;             /* how often the stage has ended */
bit ending;             /* an order to cancel it */
byte cancels_left = CANCELS;
byte retries_left = ATTEMPTS - 1;

int ledger;             /* messages that an `unknown` row covers */

/* The broker ----------------------------------------------------------------------------------- */

/* Sets of messages, a bit each: the task, its attempt, the dispatch, the nonce. */
int history;            /* ids that duplicate detection remembers */
int stored;             /* what workers can receive; without order */

#define message(t, a, d, n) \
    (((((n) - 1) * DISPATCHES + (d) - 1) * ATTEMPTS + (a) - 1) * TASKS + (t))
#define task_of(m) ((m) % TASKS)
#define attempt_of(m) (((m) / TASKS) % ATTEMPTS + 1)
#define dispatch_of(m) (((m) / (TASKS * ATTEMPTS)) % DISPATCHES + 1)
#define nonce_of(m) ((m) / (TASKS * ATTEMPTS * DISPATCHES) + 1)
/* All messages of a task, of the creation that stands. */
#define copies_of(t) ((1 | ((ATTEMPTS * DISPATCHES > 1) << TASKS) | \
    ((ATTEMPTS * DISPATCHES > 2) << (2 * TASKS)) | \
    ((ATTEMPTS * DISPATCHES > 3) << (3 * TASKS))) << ((life - 1) * PER_LIFE + (t)))
#define PER_LIFE (TASKS * ATTEMPTS * DISPATCHES)
#define any_sent(n) ((history >> (((n) - 1) * PER_LIFE)) & ((1 << PER_LIFE) - 1))

/* What of the message its id names. */
#ifdef ID_WITHOUT_NONCE
#define id_nonce(m) 1
#else
#define id_nonce(m) nonce_of(m)
#endif
#ifdef ID_WITHOUT_DISPATCH
#define id_dispatch(m) 1
#else
#define id_dispatch(m) dispatch_of(m)
#endif
#ifdef ID_WITHOUT_ATTEMPT
#define id_attempt(m) 1
#else
#define id_attempt(m) attempt_of(m)
#endif
#define message_id(m) message(task_of(m), id_attempt(m), id_dispatch(m), id_nonce(m))

#define has(set, m) (((set) >> (m)) & 1)
#define put(set, m) set = set | (1 << (m))
#define drop(set, m) set = set & ~(1 << (m))

#define is_terminal(s) ((s) == completed || (s) == failed || (s) == cancelled)
#define slot_of(t) ((t) % SLOTS)

#define members(b) (b == RETRY -> 1 : PER_BATCH)
#define member(b, i) (b == RETRY -> retried : (b) * PER_BATCH + (i))
/* What batch_messages renders: tasks that wait, each in its newest batch. */
#define to_send(b, i) \
    (task[member(b, i)].state == waiting && (b == RETRY || member(b, i) != retried))

/* A write names its claim: the batch of that creation (its batch_id), and the epoch. */
#ifdef WITHOUT_FENCE
#define still_claimed(b, e, n) \
    (life == n && batch[b].state == publishing)
#else
#define still_claimed(b, e, n) \
    (life == n && batch[b].state == publishing && batch[b].epoch == e)
#endif

/* Creation ------------------------------------------------------------------------------------- */

inline forget_everything() {
    ledger = 0; ended = 0; ending = 0;
    retried = NONE; retries_left = ATTEMPTS - 1; i = 0;
    do
    :: i < 3 ->
        batch[i].state = pending_queue; batch[i].epoch = 0; batch[i].dispatch = 1;
        batch[i].through = 0; batch[i].holder = NONE; i++
    :: else -> break
    od;
    i = 0;
    do
    :: i < TASKS ->
#ifdef PUBLISHED
        put(history, message(i, 1, 1, life)); put(stored, message(i, 1, 1, life));
        batch[i / PER_BATCH].state = queued; committed = 1;
#endif
        task[i].state = waiting; task[i].attempt = 1; task[i].token = 0; i++
    :: else -> break
    od;
    slot_open[0] = TASKS / SLOTS; slot_open[1] = TASKS / SLOTS; stage_open = SLOTS; i = 0
}

#define nobody_counts (slot_lock[0] == 0 && slot_lock[1] == 0 && stage_lock == 0 && \
    !task[0].locked && !task[1].locked && !task[2].locked && !task[3].locked)

/* A creation rolls back; or its commit is lost with the server that had it, and another takes over
 * without it. Then the same job is created again with the same id, and draws another nonce. */
proctype Producer() {
    byte i;
    do
    :: atomic { !committed ->
        d_step { life++; forget_everything() }
       };
       if
       :: committed = 1
       :: atomic { life < LIVES -> promise(no_phantom, !any_sent(life)) }
       fi
    :: atomic { committed && life < LIVES && nobody_counts -> committed = 0 }
    :: atomic { committed && life == LIVES -> break }
    od
}

/* Bridges -------------------------------------------------------------------------------------- */

/* record_unreported_send */
inline record_unreported_send(b) {
#ifndef WITHOUT_UNKNOWN_ROW
    if
    :: batch[b].state == publishing ->
        i = batch[b].through;
        do
        :: i < members(b) ->
            put(ledger, message(member(b, i), (b == RETRY -> 2 : 1), batch[b].dispatch, life));
            i++
        :: else -> break
        od;
        i = 0
    :: else
    fi
#else
    skip
#endif
}

#ifdef PUBLISHES_BEFORE_COMMIT
#define seen (life > 0)
#else
#define seen committed
#endif

/* It waits, or its lease ran out. */
#define claimable(b) (seen && (b < BATCHES || (b == RETRY && retried != NONE)) && \
    (batch[b].state == pending_queue || (batch[b].state == publishing && batch[b].epoch < EPOCHS)))

inline claim(n) {
    atomic { claimable(n) ->
        d_step {
            b = n;
            record_unreported_send(b);
            if
            :: ending -> batch[b].state = cancelled; batch[b].epoch++; b = NONE
            :: else ->
                batch[b].state = publishing;
                batch[b].epoch++;
                batch[b].holder = me;
                epoch = batch[b].epoch;
                nonce = life;
                at = batch[b].through
            fi
        }
    }
}

inline let_go() {
    atomic { b = NONE; epoch = 0; nonce = 0; at = 0; m = 0; outcome = 0 }
}


/* Whether this claim may still meet with an accident: somebody must be left to go on after it. */
#define may_go_wrong (epoch < EPOCHS || nonce != life || batch[b].epoch != epoch)

inline deliver(m) {
    promise(explained, !has(history, message_id(m)) || nonce_of(m) != life || has(ledger, m));
    if
#ifndef WITHOUT_DUPLICATE_DETECTION
    :: has(history, message_id(m)) -> skip
#endif
    :: else ->
        promise(stored_once, !has(history, message_id(m)));
        put(history, message_id(m));
        put(stored, m);
        if
        :: nonce_of(m) == life && is_terminal(task[task_of(m)].state) -> drop(stored, m)
        :: else
        fi
    fi
}

/* Its process ended, and the one in its place knows nothing. */
inline forget_claim() {
    atomic { b = NONE; epoch = 0; nonce = 0; at = 0; m = NONE; outcome = 0 }
}

proctype Bridge(byte me) {
    byte b = NONE, epoch, nonce, at, m = NONE, i;
    mtype outcome;

idle:
    if
    :: claim(0)
    :: claim(1)
    :: claim(2)
    fi;
    if
    :: b == NONE -> goto idle
    :: else
    fi;

page:
    /* batch_messages renders the batch as it is now, for its own claim only. */
#ifdef RENDERS_WITHOUT_EPOCH
#define may_read (life == nonce)
#else
#define may_read (life == nonce && batch[b].epoch == epoch)
#endif
    atomic {
        do
        :: at < members(b) && may_read && !to_send(b, at) -> at++
        :: else -> break
        od;
        if
        :: at < members(b) && may_read ->
            m = message(member(b, at), task[member(b, at)].attempt, batch[b].dispatch, life)
        :: else -> at = members(b); m = NONE
        fi
    }
    if
    :: m == NONE -> goto finish
    :: else
    fi;

    /* Asleep here, it sends what it should not send any more. */
    if
    :: d_step { deliver(m); outcome = accepted }
    :: d_step { may_go_wrong -> deliver(m); outcome = unknown }
    :: d_step { may_go_wrong -> outcome = unknown }
    :: d_step { may_go_wrong -> outcome = refused }
    :: may_go_wrong -> goto dead
    fi;

    /* record_send */
    atomic {
        if
        :: still_claimed(b, epoch, nonce) && batch[b].through <= at ->
            promise(fence_holds, batch[b].holder == me);
            if
            :: outcome == accepted -> at++; batch[b].through = at; m = NONE; goto page
            :: outcome == unknown -> put(ledger, m)
            :: else
            fi
        :: else -> goto dead
        :: may_go_wrong -> goto dead
        fi
    }

    /* fail_batch */
    atomic {
        if
        :: still_claimed(b, epoch, nonce) ->
            promise(fence_holds, batch[b].holder == me);
            batch[b].state = pending_queue;
            batch[b].holder = NONE
        :: else
        :: may_go_wrong
        fi;
        goto dead
    }

finish:
    /* finish_batch; with the last record_send in one step, or in one of its own */
    atomic {
        if
        :: still_claimed(b, epoch, nonce) ->
            promise(fence_holds, batch[b].holder == me);
            batch[b].state = queued;
            batch[b].through = members(b);
            batch[b].holder = NONE
        :: else
        :: may_go_wrong
        fi
    }

dead:
    forget_claim();
    goto idle
}

/* The end of a task, and its counters ---------------------------------------------------------- */

#define others_ended(t) ( \
    (t == 0 || is_terminal(task[0].state)) && (t == 1 || is_terminal(task[1].state)) && \
    (TASKS < 3 || t == 2 || is_terminal(task[2].state)) && \
    (TASKS < 4 || t == 3 || is_terminal(task[3].state)))

/* Within an atomic step, and the task's row locked: each lock is waited for and kept, so nobody
 * else can tell these statements from one. `last` says whether this transaction ends the stage. */
inline count_ended_task(t, who) {
#ifdef COUNTS_TASKS
    /* READ COMMITTED: what others have written and not committed is as it was before. */
    last = others_ended(t)
#else
    slot_lock[slot_of(t)] == 0 -> slot_lock[slot_of(t)] = who;
    promise(counted_once, slot_open[slot_of(t)] > 0);
    slot_open[slot_of(t)]--;
    if
    :: slot_open[slot_of(t)] == 0 ->
        stage_lock == 0 -> stage_lock = who;
        promise(counted_once, stage_open > 0);
        stage_open--;
        last = (stage_open == 0)
    :: else
    fi
#endif
}

inline commit_end(t, how, who) {
    d_step {
        promise(terminal_stays, !is_terminal(task[t].state));
        task[t].state = how;
        stored = stored & ~copies_of(t);    /* whoever received one would be told that it ended */
        task[t].token = 0;
        task[t].locked = 0;
        if
        :: slot_lock[slot_of(t)] == who -> slot_lock[slot_of(t)] = 0
        :: else
        fi;
        if
        :: stage_lock == who -> stage_lock = 0
        :: else
        fi;
        if
        :: last ->
            promise(stage_ends_last, ended == 0 && others_ended(t));
            ended++
        :: else
        fi;
        last = 0
    }
}

/* Workers -------------------------------------------------------------------------------------- */

#ifdef MESSAGE_WITHOUT_NONCE
#define is_ghost(m) (!committed || attempt_of(m) > task[task_of(m)].attempt)
#else
#define is_ghost(m) \
    (!committed || nonce_of(m) != life || attempt_of(m) > task[task_of(m)].attempt)
#endif

#ifdef CANCELS_BATCH_ONLY
#define start_is_stopped 0
#else
#define start_is_stopped ending
#endif

#define may_run(m, t) (!is_ghost(m) && !is_terminal(task[t].state) && \
    attempt_of(m) == task[t].attempt && task[t].state != retry_wait && !start_is_stopped)

#ifdef WITHOUT_TOKEN
#define may_complete(t) (committed && task[t].state == processing)
#else
#define may_complete(t) (committed && task[t].state == processing && task[t].token == me)
#endif

#define any_above(m) (((stored >> 1) & 2147483647) >> (m))

proctype Worker(byte me) {
    byte m = NONE, t = NONE;
    bit last;

idle:
    atomic {
        stored != 0 ->
        m = 0;
        do
        :: has(stored, m) -> break
        :: any_above(m) -> m++
        od;
        /* The broker lends the message; only `settle` takes it away. start_tasks: */
        t = task_of(m);
        !task[t].locked ->
        if
        :: d_step { !may_run(m, t) ->                                   /* ghost, done, … */
            drop(stored, m); m = NONE; t = NONE }
        :: d_step { may_run(m, t) && task[t].state == processing && task[t].token != me ->
            drop(stored, m); m = NONE; t = NONE }                       /* taken */
        :: d_step { may_run(m, t) ->            /* where it is another's, its lease ran out */
            promise(no_ghost_runs, nonce_of(m) == life);
            task[t].state = processing;
            task[t].token = me }
        fi
    }
    if
    :: t == NONE -> goto idle
    :: else
    fi;

    if
    :: atomic {
        !task[t].locked ->      /* complete_tasks */
        if
        :: may_complete(t) ->
            promise(last_starter_completes, task[t].token == me);
            task[t].locked = 1; count_ended_task(t, me)
        :: else -> goto settle
        fi
       }
    :: goto dead                /* or it sleeps; the message is delivered again */
    fi;
    commit_end(t, completed, me);

settle:
    drop(stored, m);
dead:
    atomic { m = NONE; t = NONE };
    goto idle
}

/* House-keeping, by any bridge ----------------------------------------------------------------- */

#define SWEEPER (WORKERS + 1)
#define CANCELLER (WORKERS + 2)

inline end_lost_attempt(n) {
    atomic { committed && n < TASKS && t == NONE &&
        task[n].state == processing && !task[n].locked ->
        if
        :: retries_left > 0 ->
            retries_left--; task[n].attempt++; task[n].token = 0; task[n].state = retry_wait
        :: else ->
            t = n; task[n].locked = 1; count_ended_task(n, SWEEPER)
        fi
    }
}

inline gather_retry(n) {
    d_step { committed && n < TASKS && t == NONE &&
        task[n].state == retry_wait && !task[n].locked && !ending ->
        task[n].state = waiting; retried = n }
}

proctype Sweeper() {
    byte t = NONE;
    bit last;
    do
    :: end_lost_attempt(0)
    :: end_lost_attempt(1)
    :: end_lost_attempt(2)
    :: end_lost_attempt(3)
    :: t != NONE -> commit_end(t, failed, SWEEPER); t = NONE
    :: gather_retry(0)
    :: gather_retry(1)
    :: gather_retry(2)
    :: gather_retry(3)
    od
}

/* By an operator, or after start_timeout: what nobody has started goes out once more. */
#define unstarted(b) (to_send(b, 0) || (b != RETRY && to_send(b, 1)))
#define exists(b) (committed && (b < BATCHES || (b == RETRY && retried != NONE)))

inline publish_again(b) {
    d_step { b == restless && exists(b) && batch[b].dispatch < DISPATCHES && !ending &&
        (batch[b].state == publishing || batch[b].state == queued) && unstarted(b) ->
        record_unreported_send(b);
        batch[b].state = pending_queue;
        batch[b].dispatch++;
        batch[b].epoch++;
        batch[b].holder = NONE;
        batch[b].through = 0
    }
}

proctype Republisher() {
    byte i;
    do
    :: publish_again(0)
    :: publish_again(1)
    :: publish_again(2)
    od
}

/* A message goes without a trace: purged, expired. */
inline vanish(b, n) {
    d_step { b == restless && exists(b) && n < members(b) &&
        batch[b].dispatch < DISPATCHES && to_send(b, n) &&
        has(stored, message(member(b, n), task[member(b, n)].attempt, batch[b].dispatch, life)) ->
        drop(stored, message(member(b, n), task[member(b, n)].attempt, batch[b].dispatch, life))
    }
}

proctype Purger() {
    do
    :: vanish(0, 0)
    :: vanish(0, 1)
    :: vanish(1, 0)
    :: vanish(1, 1)
    :: vanish(2, 0)
    od
}

/* An order to cancel the stage ----------------------------------------------------------------- */

#define to_cancel(b) \
    (exists(b) && (batch[b].state == pending_queue || batch[b].state == publishing))

inline cancel_batch(b) {
    d_step { committed && ending && !ended && to_cancel(b) ->
        record_unreported_send(b);
        batch[b].state = cancelled;
        batch[b].epoch++;
        batch[b].holder = NONE
    }
}

inline cancel_task(n) {
#ifdef CANCELS_BATCH_ONLY
    /* What nobody has started has its batch's state; only its counter is told. */
    atomic { committed && ending && n < TASKS && task[n].state == waiting && !has(inherited, n) ->
        put(inherited, n); count_ended_task(n, CANCELLER);
        d_step {
            slot_lock[slot_of(n)] = 0;
            if
            :: stage_lock == CANCELLER -> stage_lock = 0
            :: else
            fi;
            ended = ended + last; last = 0
        }
    }
#else
#ifdef CANCELS_WITHOUT_LOCK
    /* Looks at the state first, and writes by the key alone. */
    atomic { committed && ending && n < TASKS && t == NONE &&
        !is_terminal(task[n].state) -> t = n };
    atomic { !task[n].locked -> task[n].locked = 1; count_ended_task(n, CANCELLER) }
#else
    atomic { committed && ending && n < TASKS && t == NONE &&
        !is_terminal(task[n].state) && !task[n].locked &&
        !to_cancel(0) && !to_cancel(1) && !to_cancel(2) ->
        t = n; task[n].locked = 1; count_ended_task(n, CANCELLER)
    }
#endif
#endif
}

proctype Operator() {
    byte t = NONE, i;
    int inherited;
    bit last;
    do
    :: d_step { committed && !ended && cancels_left > 0 && !ending ->
        cancels_left--; ending = 1 }
    :: cancel_batch(0)
    :: cancel_batch(1)
    :: cancel_batch(2)
    :: cancel_task(0)
    :: cancel_task(1)
    :: cancel_task(2)
    :: cancel_task(3)
    :: t != NONE -> commit_end(t, cancelled, CANCELLER); t = NONE
    od
}

/* The end -------------------------------------------------------------------------------------- */

#if WORKERS > 0
#define is_safe(t) is_terminal(task[t].state)
#define stage_is_over (ended == 1)
#else
#define is_safe(t) (batch[(t) / PER_BATCH].state == queued && \
    has(stored, message(t, 1, batch[(t) / PER_BATCH].dispatch, life)))
#define stage_is_over true
#endif

proctype Finale() {
    timeout ->
    promise(nothing_lost, committed && is_safe(0) && is_safe(1) &&
        (TASKS < 3 || is_safe(2)) && (TASKS < 4 || is_safe(3)) && stage_is_over)
}

init {
    byte n;
    atomic {
        n = 0;
        do
        :: n < BRIDGES -> run Bridge(n); n++
        :: else -> break
        od;
        n = 1;
        do
        :: n <= WORKERS -> run Worker(n); n++
        :: else -> break
        od;
        run Producer();
        if
        :: DISPATCHES > 1 ->
            if
            :: restless = 0
            :: BATCHES > 1 -> restless = 1
            :: WORKERS > 0 && ATTEMPTS > 1 -> restless = RETRY
            fi;
            run Republisher();
            if
            :: WORKERS > 0 -> run Purger()
            :: else
            fi
        :: else
        fi;
        if
        :: WORKERS > 0 -> run Sweeper()
        :: else
        fi;
        if
        :: CANCELS > 0 -> run Operator()
        :: else
        fi;
        run Finale()
    }
}
