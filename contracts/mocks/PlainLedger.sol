// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { ERC6909 } from "@openzeppelin/contracts/token/ERC6909/ERC6909.sol";

/// @notice The ledger one would write first, for `bench/gas` to compare with: OpenZeppelin's ERC-6909, one stored
/// balance per child. Ids depend on the order in which people got there, and nothing expires.
contract PlainLedger is ERC6909 {
    using SafeERC20 for IERC20;

    struct Question {
        address oracle;
        uint8 outcomes;
        bool resolved;
        uint8 winner;
    }

    mapping(bytes32 question => Question) public questions;

    error Refused(bytes32 question);

    event Asked(bytes32 indexed question, address indexed oracle, uint8 outcomes);
    event Answered(bytes32 indexed question, uint8 winner);

    function ask(address oracle, uint8 outcomes, bytes32 salt) external returns (bytes32 question) {
        question = questionId(oracle, outcomes, salt);
        if (questions[question].outcomes != 0) revert Refused(question);
        questions[question] = Question(oracle, outcomes, false, 0);
        emit Asked(question, oracle, outcomes);
    }

    function answer(bytes32 question, uint8 winner) external {
        Question storage q = questions[question];
        if (msg.sender != q.oracle || q.resolved || winner >= q.outcomes) revert Refused(question);
        q.resolved = true;
        q.winner = winner;
        emit Answered(question, winner);
    }

    /// @param parent A child's id, or 0 for the token itself.
    function pushDown(uint256 parent, bytes32 question, IERC20 token, uint256 amount) external {
        Question storage q = questions[question];
        if (q.outcomes == 0 || q.resolved) revert Refused(question);
        if (parent == 0) token.safeTransferFrom(msg.sender, address(this), amount);
        else _burn(msg.sender, parent, amount);
        for (uint256 outcome = 0; outcome < q.outcomes; ++outcome) {
            _mint(msg.sender, childId(parent, question, outcome, token), amount);
        }
    }

    function pullUp(uint256 parent, bytes32 question, IERC20 token, uint256 amount) external {
        Question storage q = questions[question];
        if (q.outcomes == 0) revert Refused(question);
        if (q.resolved) {
            _burn(msg.sender, childId(parent, question, q.winner, token), amount);
        } else {
            for (uint256 outcome = 0; outcome < q.outcomes; ++outcome) {
                _burn(msg.sender, childId(parent, question, outcome, token), amount);
            }
        }
        if (parent == 0) token.safeTransfer(msg.sender, amount);
        else _mint(msg.sender, parent, amount);
    }

    function questionId(address oracle, uint8 outcomes, bytes32 salt) public pure returns (bytes32) {
        return keccak256(abi.encode(oracle, outcomes, salt));
    }

    function childId(uint256 parent, bytes32 question, uint256 outcome, IERC20 token) public pure returns (uint256) {
        return uint256(keccak256(abi.encode(parent, question, outcome, token)));
    }
}
