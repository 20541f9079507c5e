"""The twenty mails of the demonstration, and their delivery by LMTP.

usage: mails.py HOST:PORT[,HOST:PORT] USER...

The mails go in turn to the given nodes, so that both deliver.  Standard
library only.
"""
import datetime
import email.policy
import smtplib
import sys
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

PEOPLE = {
    'grace': 'Grace Lindqvist <grace@harbour.example>',
    'henrik': 'Henrik Bäcker <henrik@harbour.example>',
    'ines': 'Inês Duarte <ines@lighthouse.example>',
    'jun': 'Jun Tanaka <jun@lighthouse.example>',
    'list': 'Harbour announcements <announce@harbour.example>',
}

# (sender, subject, text)
MAILS = [
    ('grace', 'Welcome to the harbour',
     'This mailbox lies on two machines. Whatever you do in it on one of them\n'
     'is on the disk of the other before your client hears "OK".\n'),
    ('henrik', 'How to break it',
     'Open a second terminal and kill one node while you read this.\n'
     'The other one answers under the same UIDs.\n'),
    ('ines', 'Lighthouse duty in December',
     'The roster is below. Please swap among yourselves and tell me.\n\n'
     'Mon Jun, Tue Grace, Wed Henrik, Thu Ines\n'),
    ('jun', '=) a subject with ünïcödé and 灯台',
     'The tower is called 灯台 in the old log books. Grüße, Jun\n'),
    ('list', '[announce] Pilot boat out of service on Friday',
     'From 06:00 to 14:00. Traffic is handled by the tug Marianne.\n'),
    ('grace', 'Minutes of the Tuesday meeting',
     '1. Buoys: twelve repainted, three lost in the storm.\n'
     '2. Budget: approved.\n3. Coffee: the machine stays.\n'),
    ('henrik', 'Re: Minutes of the Tuesday meeting',
     '> 3. Coffee: the machine stays.\n\nThank you.\n'),
    ('ines', 'Photographs of the new lamp', 'See the attachment.\n'),
    ('jun', 'Tide tables', 'High water 04:12 and 16:39, low water 10:20.\n'),
    ('list', '[announce] Fog signal test', 'Tomorrow at noon, three blasts.\n'),
    ('grace', 'Spare parts', 'The bearing arrived. It is the wrong one again.\n'),
    ('henrik', 'Fwd: Spare parts', 'What did we order, and what is written on it?\n'),
    ('ines', 'A long letter', 'The winter of the great ice.\n\n' + 40 *
     'The ice came in the first days of January and stayed until the geese '
     'were back; boats stood on the quay like horses in a stable.\n'),
    ('jun', 'Numbers', '\n'.join('%2d  %6d' % (n, n * n * n) for n in range(1, 31)) + '\n'),
    ('list', '[announce] Harbour office closed on 24 December', 'All day.\n'),
    ('grace', 'Lunch?', 'Fish, of course.\n'),
    ('henrik', 'Radio frequencies', 'Channel 12 for the port, 16 to call, 67 for the pilot.\n'),
    ('ines', 'The cat of the lighthouse', 'She has moved into the lamp room. The lamp does not mind.\n'),
    ('jun', 'Draft of the visitor leaflet', 'Please correct freely.\n'),
    ('grace', 'Good night', 'The light is on. Good night.\n'),
]


def message(number, user):
    who, subject, text = MAILS[number]
    m = EmailMessage(policy=email.policy.SMTP)
    m['From'] = PEOPLE[who]
    m['To'] = '%s <%s@duet.example>' % (user.capitalize(), user)
    m['Subject'] = subject
    when = datetime.datetime.now(datetime.timezone.utc)
    m['Date'] = format_datetime(when - datetime.timedelta(hours=3 * (20 - number)))
    m['Message-ID'] = make_msgid('%s-%d' % (user, number), 'duet.example')
    m.set_content(text)
    if 'attachment' in text:
        m.add_attachment(bytes(range(256)) * 16, maintype='image',
                         subtype='x-demo', filename='lamp.img')
    if 'leaflet' in subject:
        m.add_alternative('<p>Please correct <b>freely</b>.</p>', subtype='html')
    return m


def main():
    nodes = [n.rsplit(':', 1) for n in sys.argv[1].split(',')]
    users = sys.argv[2:]
    links = [smtplib.LMTP(host, int(port)) for host, port in nodes]
    for number in range(len(MAILS)):
        link = links[number % len(links)]
        for user in users:
            link.send_message(message(number, user),
                              'sender@harbour.example', [user + '@duet.example'])
    for link in links:
        link.quit()
    print('%d mails delivered to each of %s' % (len(MAILS), ', '.join(users)))


if __name__ == '__main__':
    main()
