// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { IERC6909 } from "@openzeppelin/contracts/interfaces/IERC6909.sol";
import { IMultiverse } from "../../../contracts/interfaces/IMultiverse.sol";
import { TestToken } from "../../../contracts/mocks/TestToken.sol";
import { PositionId } from "../../../contracts/types/PositionId.sol";
import { ILedger } from "../utils/ILedger.sol";
import { Choices } from "./Choices.sol";

/// @notice Everything that the ledger's public functions are for, by three owners in two tokens. Each action takes one seed,
/// does what must succeed and notes it in the ghost's book; what surrounds it must be refused. None may revert.
abstract contract LedgerActions is Choices {
    uint256 private constant KEYS = 0xa11ce;
    bytes32 private constant PERMIT = keccak256(
        "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
    );

    /// @dev The first token takes permits.
    function _setUpOwners(address[] memory tokens_) internal {
        tokens = tokens_;
        for (uint256 o = 0; o < OWNERS; ++o) owners.push(vm.addr(KEYS + o));
        for (uint256 t = 0; t < TOKENS; ++t) {
            for (uint256 o = 0; o < OWNERS; ++o) {
                TestToken(tokens[t]).mint(owners[o], FUNDS);
                wallets[t][o] = FUNDS;
                _succeed(owners[o], tokens[t], abi.encodeCall(IERC20.approve, (address(ledger), type(uint256).max)));
            }
        }
    }

    function _beginRound() internal {
        _startRound(tokens);
        for (uint256 q = 0; q < questionCount(); ++q) _ask(q);
    }

    /* QUESTIONS */

    /// @notice A question loses some outcomes; seldom all but one.
    function narrow(uint256 seed) external action("narrow", seed) {
        (bool found, uint256 q) = _anyOpen();
        if (!found) return;
        uint256 possible_ = liveOf(q);
        uint256 survivors = (possible_ & _random(1 << outcomesOf(q))) | _last(q);
        if (_isSingle(survivors)) {
            if (_random(3) != 0) return;
            survivors = _anyBit(possible_);
        }
        if (possible_ != _all(q)) _refuse(ORACLE, _narrowCall(q, _all(q)), IMultiverse.InvalidSurvivors.selector);
        _refuse(owners[_random(OWNERS)], _narrowCall(q, survivors), IMultiverse.NotOracle.selector);
        _do(ORACLE, _narrowCall(q, survivors));
        _noteNarrowed(q, survivors);
        ++successes["narrow"];
        if (_isSingle(survivors)) ++successes["narrow to an answer"];
        else ++successes[survivors == possible_ ? "narrow to the same" : "narrow step by step"];
    }

    /// @notice A deadline comes, seldom; what time has decided is recorded.
    function expire(uint256 seed) external action("expire", seed) {
        uint256 q = _random(questionCount());
        if (time < deadlines[q] && !isDecided(q)) {
            _refuse(owners[0], _expireCall(q), IMultiverse.DeadlineNotReached.selector);
            if (_random(6) != 0) return;
            _noteTime(deadlines[q] + _random(2));
        }
        if (liveOf(q) != _last(q)) {
            _refuse(owners[0], _expireCall(q), IMultiverse.AlreadyResolved.selector);
            return;
        }
        _do(owners[_random(OWNERS)], _expireCall(q));
        ++successes["expire"];
    }

    /* PUSH DOWN, PULL UP */

    function pushDown(uint256 seed) external action("pushDown", seed) {
        (bool found, uint256 q) = _anyOpen();
        if (!found) return;
        (uint256 t, uint256 o) = _anyOne();
        uint256 code = _anyHeldParent(t, o, q);
        uint256 amount = code == 0 ? 1 + _random(1e12) : _part(_book(t, o, code));
        uint256 to = _anyReceiver(o);
        _do(owners[o], _pushCall(t, code, q, amount, owners[to]));
        _notePushed(t, o, to, code, q, amount);
        ++successes["pushDown"];
        ++successes[_sortsLast(code, q) ? "pushDown, sorting last" : "pushDown, sorting first or between"];
        if (_depth(code) >= 2) ++successes["pushDown to depth 3"];
    }

    function pullUp(uint256 seed) external action("pullUp", seed) {
        (uint256 t, uint256 o) = _anyOne();
        (uint256 code, uint256 q, uint256 most) = _anyHeldPartition(t, o);
        if (most == 0) return;
        uint256 to = _anyReceiver(o);
        uint256 amount = _part(most);
        _do(owners[o], _pullCall(t, code, q, amount, owners[to]));
        _notePulled(t, o, to, code, q, amount);
        ++successes["pullUp"];
        if (_depth(code) >= 2) ++successes["pullUp from depth 3"];
        if (isDecided(q)) ++successes["pullUp of a winner"];
    }

    /// @notice 3: down and up again, or up and down again, leaves every balance as it was: the books are not touched.
    function roundTrip(uint256 seed) external action("roundTrip", seed) {
        (uint256 t, uint256 o) = _anyOne();
        bytes[] memory both = new bytes[](2);
        (uint256 code, uint256 q, uint256 most) = _anyHeldPartition(t, o);
        if (most != 0 && code != 0 && !isDecided(q) && _random(2) == 0) {
            uint256 amount = _part(most);
            both[0] = _pullCall(t, code, q, amount, owners[o]);
            both[1] = _pushCall(t, code, q, amount, owners[o]);
        } else {
            (bool found, uint256 open) = _anyOpen();
            if (!found) return;
            code = _anyHeldParent(t, o, open);
            uint256 amount = code == 0 ? 1 + _random(1e12) : _part(_book(t, o, code));
            both[0] = _pushCall(t, code, open, amount, owners[o]);
            both[1] = _pullCall(t, code, open, amount, owners[o]);
            if (code == 0) {
                deposited[t] += amount;
                withdrawn[t] += amount;
            }
        }
        for (uint256 i = 0; i < 2; ++i) _do(owners[o], both[i]);
        ++successes["roundTrip"];
    }

    /// @notice Up to three levels in one call; what the last one gives goes to anybody.
    function exit(uint256 seed) external action("exit", seed) {
        (uint256 t, uint256 o) = _anyOne();
        (uint256 code, uint256 q, uint256 most) = _anyHeldPartition(t, o);
        if (most == 0) return;
        IMultiverse.Level[] memory levels = new IMultiverse.Level[](3);
        uint256 count = 0;
        uint256 amount;
        uint256 reached;
        while (most != 0 && count < levels.length) {
            (amount, reached) = (_part(most), code);
            levels[count++] = IMultiverse.Level(_path(code), questions[q], amount);
            _notePulled(t, o, o, code, q, amount);
            (code, q, most) = _partitionAbove(t, o, reached);
        }
        assembly ("memory-safe") {
            mstore(levels, count)
        }
        uint256 to = _anyReceiver(o);
        _do(owners[o], abi.encodeCall(IMultiverse.exit, (levels, tokens[t], owners[to])));
        if (reached == 0) _notePaid(t, o, to, amount);
        else _noteMoved(t, o, to, reached, amount);
        ++successes["exit"];
        if (count > 1) ++successes["exit through levels"];
    }

    /// @notice Somebody named pulls up for an owner, and can no more when the name is taken back.
    function pullUpFor(uint256 seed) external action("pullUpFor", seed) {
        (uint256 t, uint256 o) = _anyOne();
        (uint256 code, uint256 q, uint256 most) = _anyHeldPartition(t, o);
        if (most == 0) return;
        address redeemer = owners[(o + 1 + _random(OWNERS - 1)) % OWNERS];
        uint256 amount = _part(most);
        bytes memory data = abi.encodeCall(
            IMultiverse.pullUpFor,
            (owners[o], _path(code), questions[q], tokens[t], amount)
        );
        _refuse(redeemer, data, IMultiverse.NotRedeemer.selector);
        _do(owners[o], abi.encodeCall(IMultiverse.setRedeemer, (redeemer, true)));
        _do(redeemer, data);
        _do(owners[o], abi.encodeCall(IMultiverse.setRedeemer, (redeemer, false)));
        _notePulled(t, o, o, code, q, amount);
        ++successes["pullUpFor"];
    }

    /* TRANSFERS */

    /// @notice To anybody, the sender included.
    function transfer(uint256 seed) external action("transfer", seed) {
        (uint256 t, uint256 o) = _anyOne();
        uint256 code = _anyHeld(t, o);
        if (code == 0) return;
        uint256 to = _random(OWNERS);
        uint256 amount = _part(_book(t, o, code));
        _do(owners[o], abi.encodeCall(IERC6909.transfer, (owners[to], _id(tokens[t], code), amount)));
        _noteMoved(t, o, to, code, amount);
        ++successes["transfer"];
        if (to == o) ++successes["transfer to oneself"];
    }

    /// @notice Somebody moves all that he was allowed to, and nothing more.
    function transferFrom(uint256 seed) external action("transferFrom", seed) {
        (uint256 t, uint256 o) = _anyOne();
        uint256 code = _anyHeld(t, o);
        if (code == 0) return;
        uint256 to = _random(OWNERS);
        uint256 id = _id(tokens[t], code);
        address spender = owners[(o + 1) % OWNERS];
        uint256 amount = _part(_book(t, o, code));
        _do(owners[o], abi.encodeCall(IERC6909.approve, (spender, id, amount)));
        _do(spender, abi.encodeCall(IERC6909.transferFrom, (owners[o], owners[to], id, amount)));
        _noteMoved(t, o, to, code, amount);
        bytes memory more = abi.encodeCall(IERC6909.transferFrom, (owners[o], spender, id, 1));
        _refuse(spender, more, IMultiverse.InsufficientAllowance.selector);
        ++successes["transferFrom"];
    }

    /// @notice An operator moves what he likes until he is one no more.
    function operate(uint256 seed) external action("operate", seed) {
        (uint256 t, uint256 o) = _anyOne();
        uint256 code = _anyHeld(t, o);
        if (code == 0) return;
        address operator = owners[(o + 2) % OWNERS];
        uint256 to = _random(OWNERS);
        uint256 amount = _part(_book(t, o, code));
        bytes memory data = abi.encodeCall(
            IERC6909.transferFrom,
            (owners[o], owners[to], _id(tokens[t], code), amount)
        );
        _do(owners[o], abi.encodeCall(IERC6909.setOperator, (operator, true)));
        _do(operator, data);
        _do(owners[o], abi.encodeCall(IERC6909.setOperator, (operator, false)));
        _noteMoved(t, o, to, code, amount);
        _refuse(operator, data, IMultiverse.InsufficientAllowance.selector);
        ++successes["operate"];
    }

    /// @notice A permit, a push-down from ROOT and the sale of one side in a single call.
    function multicall(uint256 seed) external action("multicall", seed) {
        (bool found, uint256 q) = _anyOpen();
        if (!found) return;
        uint256 o = _random(OWNERS);
        uint256 to = _random(OWNERS);
        uint256 amount = 1 + _random(1e12);
        uint256 code = _child(0, q, _indexOf(_anyBit(liveOf(q))));
        bytes[] memory data = new bytes[](3);
        data[0] = _permitCall(o);
        data[1] = _pushCall(0, 0, q, amount, owners[o]);
        data[2] = abi.encodeCall(IERC6909.transfer, (owners[to], _id(tokens[0], code), amount));
        _do(owners[o], abi.encodeCall(ILedger.multicall, (data)));
        _notePushed(0, o, o, 0, q, amount);
        _noteMoved(0, o, to, code, amount);
        ++successes["multicall"];
    }

    /// @notice A position gets its name, which moves nothing.
    function describe(uint256 seed) external action("describe", seed) {
        uint256 t = _random(TOKENS);
        uint256 code = 1 + _random(verseCount() - 1);
        PositionId id = ledger.describe(_path(code), tokens[t]);
        vm.assertEq(PositionId.unwrap(id), _id(tokens[t], code), "described id");
        ++successes["describe"];
    }

    function _permitCall(uint256 o) private view returns (bytes memory) {
        TestToken token = TestToken(tokens[0]);
        uint256 most = type(uint256).max;
        bytes32 content = keccak256(
            abi.encode(PERMIT, owners[o], address(ledger), most, token.nonces(owners[o]), most)
        );
        bytes32 digest = keccak256(abi.encodePacked("\x19\x01", token.DOMAIN_SEPARATOR(), content));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEYS + o, digest);
        return abi.encodeCall(IMultiverse.selfPermit, (address(token), most, most, v, r, s));
    }
}
