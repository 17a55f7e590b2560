"""What moves by the API of Amazon EC2: elastic addresses, private addresses, routes.

    elastic_ip   private_ip   ipv6   route      one attempt at one thing, each a kind of its own
         |           |         |       |
         +-----------+----+----+-------+
                          |
                        node                    this node in EC2: who we are, whose a network interface is
              +-----------+-----------+
            imds                     api        the metadata service; calls, their answers
                                 +----+----+
                             refusals  credentials     what EC2's error codes mean; botocore, and nothing else of it

The way of a mutation is short on purpose: it is encoded when the node gets ready, so that a takeover is one signature
and one write on a connection that is open. `policy` says which rights all that takes.

Sources: Amazon EC2 API Reference (version 2016-11-15), Instance Metadata Service Version 2, Signature Version 4.
"""
