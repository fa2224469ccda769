#!/usr/bin/env python2.7
"""Works the client of the lecture, as it is, for `improto check client --driver`; `docs/driver.md` is what it follows.

The client is a program for a terminal that ends with its connection, so there is a process for each: this program
again, with the client's arguments.  What the client prints is what it lets its user see.
"""

import json
import os
import subprocess
import sys
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLIENT = os.path.join(ROOT, 'tests', 'peers', 'lecture_client.py')
LOCK = threading.Lock()
TYPED = {
    'status': u'status {status}',
    'invite': u'invite {names}',
    'join': u'join {conversation}',
    'send': u'send {conversation} {text}',
    'leave': u'leave {conversation}',
    'list': u'list',
    'goodbye': u'quit',
}


class Shown(object):
    """Stands for the client's terminal: one JSON text for each line that it prints, whatever is in it."""

    def write(self, text):
        if text != '\n':    # which `print` writes by itself, after the line
            os.write(1, json.dumps(text.decode('utf-8', 'replace')) + '\n')

    def flush(self):
        pass


def read(line):
    """Give the event that a line of the client tells of, as its user has to read it."""
    word, _, rest = line.partition(' ')
    if word == 'online':
        return {'users': dict(item.partition('=')[::2] for item in rest.split(', ') if rest)}
    if word == 'invitation':
        return dict(zip(('conversation', 'source'), rest.split(' from ', 1)))
    if word == 'conversations':
        lists = [item.partition('=[')[::2] for item in rest.split('; ') if rest]
        return {'conversations': dict((id, names[:-1].split(', ') if names[:-1] else []) for id, names in lists)}
    if word == 'message':
        conversation, _, said = rest.partition(' ')
        return dict(zip(('sender', 'text'), said.partition(': ')[::2]), conversation=conversation)
    return {'message': rest} if word == 'error' else {}


class Client(object):
    """One process of the client."""

    def __init__(self, arguments):
        words = [sys.executable, os.path.abspath(__file__)] + [word.encode('utf-8') for word in arguments]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.leaving = False
        self.reader = threading.Thread(target=self.listen)
        self.reader.start()

    def type(self, line):
        """Type a line; tell whether the client still runs."""
        self.leaving = self.leaving or line == u'quit'
        try:
            self.process.stdin.write(line.encode('utf-8') + '\n')
            self.process.stdin.flush()
        except IOError:
            return False
        return True

    def listen(self):
        """Tell what the client prints, up to its end."""
        for line in iter(self.process.stdout.readline, ''):
            shown = json.loads(line)
            word = shown.partition(' ')[0]
            tell(event={'closed': 'closed' if self.leaving else 'lost'}.get(word, word), **read(shown))

    def drop(self):
        """End it, and tell nothing more of it."""
        self.process.kill()
        self.reader.join()
        self.process.wait()


def tell(**members):
    """Write one line; what the client prints comes from another thread."""
    with LOCK:
        sys.stdout.write(json.dumps(members) + '\n')
        sys.stdout.flush()


def main():
    """Do what each line says, until there are no more."""
    address = client = None
    for line in iter(sys.stdin.readline, ''):
        command = json.loads(line)
        word = command['do']
        answer = 'did'
        if word == 'reset':
            if client:
                client.drop()
            address = client = None
        elif word == 'connect' and command['codec'] == 'pickle':
            address = [command['host'], str(command['port'])]
        elif word == 'register' and address and not client:
            client = Client(address + [command['username'], command['status']])
        elif word not in TYPED or not typable(command):     # or a second name, for which one starts the client again
            answer = 'unsupported'
        elif not client:    # it registers when it starts, and so cannot be told to do anything before
            answer = 'unsupported' if word == 'goodbye' else 'refused'
        elif not client.type(TYPED[word].format(names=u' '.join(command.get('users', [])), **command)):
            answer = 'refused'
        tell(**{answer: word})
    if client:
        client.drop()


def typable(command):
    """Tell whether a line says it: a break ends the line, a blank ends a name, or an id before a text."""
    words = command.get('users', []) + ([command['conversation']] if command['do'] == 'send' else [])
    texts = words + [command.get(name, u'') for name in ('status', 'conversation', 'text')]
    return not any(u'\n' in text for text in texts) and not any(u' ' in text for text in words)


if len(sys.argv) > 1:
    sys.stdout = Shown()
    execfile(CLIENT)
else:
    main()
