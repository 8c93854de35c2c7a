'use strict';
(() => {
  const kinds = [
    ['local', 'resumed, made here'], ['pushed', 'resumed, pushed by a peer'], ['pulled', 'resumed, asked of a peer'],
    ['store', 'resumed, from a store'], ['new', 'none offered'], ['missed', 'offered, not resumed'],
  ];
  const every = 2000, kept = 60; // a question every 2 s, and two minutes of lines
  const at = id => document.getElementById(id);
  const make = (tag, className, text) => {
    const e = document.createElement(tag);
    if (className) e.className = className;
    if (text !== undefined) e.textContent = text;
    return e;
  };

  // Words for figures.
  const count = n => n >= 1e7 ? (n / 1e6).toFixed(1) + ' M' : n.toLocaleString('en');
  const rate = n => n === null ? '–' : n >= 100 ? count(Math.round(n)) : n.toFixed(n >= 10 ? 0 : 1);
  const percent = (part, all) => all ? (100 * part / all).toFixed(1) + ' %' : '–';
  const span = s => s >= 172800 ? Math.floor(s / 86400) + ' days' : s >= 7200 ? Math.floor(s / 3600) + ' h' :
    s >= 120 ? Math.floor(s / 60) + ' min' : Math.floor(s) + ' s';
  const brief = s => !s ? '–' : s < 1e-3 ? Math.round(s * 1e6) + ' µs' : s < 1 ? (s * 1e3).toFixed(1) + ' ms' : s.toFixed(1) + ' s';
  const daysTo = seconds => Math.floor((seconds * 1000 - Date.now()) / 86400000);
  const resumed = r => r.local + r.pushed + r.pulled + r.store;
  const total = r => resumed(r) + r.new + r.missed;

  // Rates, from what was seen of each node before.
  const seen = new Map(), past = new Map();
  const rates = node => {
    const key = node.id || 'self', before = seen.get(key);
    if (before && before.at_ms === node.at_ms) return before.rates;
    const seconds = before ? (node.at_ms - before.at_ms) / 1000 : 0;
    const of = name => seconds > 0 && node[name] >= before[name] ? (node[name] - before[name]) / seconds : null;
    const found = { handshakes: of('handshakes'), requests: of('requests') };
    seen.set(key, { at_ms: node.at_ms, handshakes: node.handshakes, requests: node.requests, rates: found });
    return found;
  };
  const remember = (name, value) => {
    const list = past.get(name) || [];
    if (value !== null) list.push(value);
    if (list.length > kept) list.shift();
    past.set(name, list);
    return list;
  };

  const line = list => {
    const ns = 'http://www.w3.org/2000/svg', svg = document.createElementNS(ns, 'svg');
    svg.setAttribute('viewBox', '0 0 100 34');
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('aria-hidden', 'true');
    if (list.length > 1) {
      const most = Math.max(...list, 1e-9), p = document.createElementNS(ns, 'polyline');
      p.setAttribute('points', list.map((v, i) => (100 * (kept - list.length + i) / (kept - 1)).toFixed(1) + ',' + (32 - 30 * v / most).toFixed(1)).join(' '));
      svg.append(p);
    }
    return svg;
  };
  const card = (title, value, note, list) => {
    const c = make('div', 'card');
    c.append(make('h2', '', title), make('div', 'value', value), make('div', 'note quiet', note));
    if (list) c.append(line(list));
    return c;
  };
  const bar = (e, r) => {
    const all = total(r);
    e.replaceChildren(...kinds.map(([name], i) => {
      const part = make('span', 'k' + i);
      part.style.width = (all ? 100 * r[name] / all : 0) + '%';
      part.title = kinds[i][1] + ': ' + percent(r[name], all);
      return part;
    }));
    return e;
  };
  // A column is [title, cell of a row, whether it is a number]; a cell is a text or an element.
  const table = (title, columns, rows, empty, wide) => {
    const panel = make('section', wide ? 'panel wide' : 'panel');
    panel.append(make('h2', '', title));
    if (!rows.length) {
      panel.append(make('div', 'quiet', empty));
      return panel;
    }
    const t = make('table'), head = make('tr');
    for (const [name, , number] of columns) head.append(make('th', number ? 'number' : '', name));
    t.append(head);
    for (const row of rows) {
      const tr = make('tr');
      for (const [, cell, number] of columns) {
        const td = make('td', number ? 'number' : ''), value = cell(row);
        td.append(value instanceof Node ? value : document.createTextNode(value));
        tr.append(td);
      }
      t.append(tr);
    }
    const scroll = make('div', 'scroll');
    scroll.append(t);
    panel.append(scroll);
    return panel;
  };
  const states = { ready: 'good', up: 'good', alive: 'good', backup: 'good', draining: 'warn', grace: 'warn', introducing: 'warn', joining: 'warn', starting: 'warn' };
  const colour = state => Object.hasOwn(states, state) ? states[state] : 'bad';
  const stateOf = state => make('span', colour(state), state);

  const showHead = node => {
    at('name').textContent = node.name;
    at('state').textContent = node.state;
    at('state').className = 'pill ' + colour(node.state);
    at('facts').textContent = node.version + ' · up ' + span(node.uptime_seconds) + (node.last_reload_ok ? '' : ' · the last reload failed');
    document.title = node.name + ' · Reprise';
  };
  const showShares = r => {
    bar(at('bar'), r);
    at('legend').replaceChildren(...kinds.map(([name, words], i) => {
      const li = make('li'), dot = make('i', 'k' + i);
      li.append(dot, words, make('b', '', percent(r[name], total(r))));
      return li;
    }));
  };
  const certificate = ends => ends ? daysTo(ends) + ' days' : '–';

  const showNode = s => {
    const n = s.node, r = n.resumed, now = rates(n);
    showHead(n);
    at('cards').replaceChildren(
      card('Resumed', percent(resumed(r), total(r)), count(resumed(r)) + ' of ' + count(total(r)) + ' handshakes'),
      card('Handshakes per second', rate(now.handshakes), count(n.handshakes_failed) + ' failed', remember('handshakes', now.handshakes)),
      card('Requests per second', rate(now.requests), count(n.requests) + ' in all', remember('requests', now.requests)),
      card('Connections', count(n.open), 'longest turns ' + brief(n.turn_p99_seconds) + ' (p99)', remember('open', n.open)),
      card('Sessions', count(n.sessions), 'room for ' + count(n.max_sessions), remember('sessions', n.sessions)),
    );
    showShares(r);
    at('tables').replaceChildren(
      table('Backends', [['pool', b => b.router + ' ' + b.pool], ['backend', b => b.name], ['state', b => stateOf(b.state)],
        ['weight', b => count(b.weight), 1], ['active', b => count(b.active), 1], ['hits', b => count(b.hits), 1],
        ['failures', b => count(b.failures), 1]], s.backends, 'No backends.', true),
      table('Peers', [['peer', p => p.name], ['address', p => p.address], ['state', p => stateOf(p.state)],
        ['round trip', p => brief(p.rtt_seconds), 1], ['lag p99', p => brief(p.lag_p99_seconds), 1],
        ['lost', p => count(p.lost_batches), 1]], s.peers, 'This node shares sessions with no other.'),
      table('Pools', [['pool', p => p.router + ' ' + p.pool], ['up', p => p.up + ' of ' + p.backends, 1],
        ['active', p => count(p.active), 1], ['queued', p => count(p.queued), 1], ['refused', p => count(p.refused), 1]], s.pools, 'No pools.'),
      table('Loops', [['loop', l => l.loop], ['connections', l => count(l.open), 1], ['accepted', l => count(l.accepted), 1],
        ['turn p99', l => brief(l.turn_p99_seconds), 1], ['longest', l => brief(l.turn_max_seconds), 1]], s.loops, 'No loops.'),
      table('Certificates', [['name', c => c.name || '(default)'], ['listener', c => c.listener],
        ['days left', c => daysTo(Date.parse(c.not_after) / 1000), 1]], s.certificates, 'No certificates.'),
    );
  };

  const showFleet = nodes => {
    const sum = { local: 0, pushed: 0, pulled: 0, store: 0, new: 0, missed: 0 };
    let handshakes = null, requests = null, open = 0, sessions = 0;
    for (const n of nodes) {
      n.rates = n.handshakes === undefined || n.state === 'silent' || n.state === 'lost' ? { handshakes: null, requests: null } : rates(n);
      for (const [name] of kinds) sum[name] += n.resumed[name];
      if (n.rates.handshakes !== null) handshakes += n.rates.handshakes;
      if (n.rates.requests !== null) requests += n.rates.requests;
      open += n.open;
      sessions += n.sessions;
    }
    const well = nodes.filter(n => n.state === 'ready').length;
    showHead(nodes[0]);
    at('cards').replaceChildren(
      card('Nodes ready', well + ' of ' + nodes.length, well === nodes.length ? 'all are well' : 'see below'),
      card('Resumed', percent(resumed(sum), total(sum)), count(resumed(sum)) + ' of ' + count(total(sum)) + ' handshakes'),
      card('Handshakes per second', rate(handshakes), 'all nodes', remember('fleet handshakes', handshakes)),
      card('Requests per second', rate(requests), 'all nodes', remember('fleet requests', requests)),
      card('Connections', count(open), 'all nodes', remember('fleet open', open)),
    );
    showShares(sum);
    at('tables').replaceChildren(table('Nodes', [
      ['node', n => n.name], ['address', n => n.address || 'this one'], ['state', n => stateOf(n.state)],
      ['up', n => n.uptime_seconds ? span(n.uptime_seconds) : '–', 1], ['resumed', n => percent(resumed(n.resumed), total(n.resumed)), 1],
      ['', n => bar(make('div', 'bar small'), n.resumed)],
      ['handshakes/s', n => rate(n.rates.handshakes), 1], ['requests/s', n => rate(n.rates.requests), 1], ['open', n => count(n.open), 1],
      ['sessions', n => count(n.sessions), 1], ['backends', n => n.backends_up + ' of ' + n.backends, 1],
      ['peers', n => n.peers_alive + ' of ' + n.peers, 1], ['certificate', n => certificate(n.certificate_ends), 1], ['version', n => n.version],
    ], nodes, 'No nodes.', true));
  };

  let shown = '', timer = 0;
  const update = async () => {
    clearTimeout(timer);
    const fleet = location.hash === '#fleet', view = fleet ? 'fleet' : 'node';
    at('to-fleet').className = fleet ? 'here' : '';
    at('to-node').className = fleet ? '' : 'here';
    try {
      const response = await fetch(fleet ? '/fleet' : '/status', { cache: 'no-store', signal: AbortSignal.timeout(5000) });
      if (!response.ok) throw new Error('status ' + response.status);
      const answer = await response.json();
      if ((location.hash === '#fleet') === fleet) (fleet ? showFleet : showNode)(answer);
      shown = view;
      at('trouble').hidden = true;
    } catch (e) {
      at('trouble').textContent = 'The node does not answer (' + e.message + '). What is shown is old.';
      at('trouble').hidden = false;
    }
    document.body.dataset.shown = shown;
    if (!document.hidden) timer = setTimeout(update, every);
  };
  addEventListener('hashchange', update);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) update(); });
  update();
})();
